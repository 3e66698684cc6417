/** The zone of a camera, drawn over its frame. */

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, properties, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * A drawing that fits over an image which is contained in the same box.
 * @param {string} camera
 * @param {[number, number, number, number][]} zone left, top, width and height in shares
 * @param {{naturalWidth: number, naturalHeight: number}} image the frame, loaded
 */
export function drawn(camera, zone, { naturalWidth: width, naturalHeight: height }) {
  const whole = { x: 0, y: 0, width, height };
  const all = zone.map(([x, y, wide, high]) => ({
    x: x * width,
    y: y * height,
    width: wide * width,
    height: high * height,
  }));
  const id = `outside-${camera}`;
  return shape(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    shape(
      "mask",
      { id },
      shape("rect", { ...whole, fill: "#fff" }),
      ...all.map((part) => shape("rect", { ...part, fill: "#000" })),
    ),
    shape("rect", { ...whole, class: "outside", mask: `url(#${id})` }),
    ...all.map((part) => shape("rect", { ...part, class: "edge" })),
    ...all.map((part) => shape("rect", { ...part, class: "line" })),
  );
}
