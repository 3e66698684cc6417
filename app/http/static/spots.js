/** Where names fit beside the points of a plot. */

const MARGIN = 2; // between a name and the line

/**
 * The box of each name: beside its point, on no other box and not across the line.
 * @param {{box: Box, width: number, height: number}[]} names with the box of their point, first come first served
 * @param {Box[]} taken the boxes of all points
 * @param {[number, number][]} line
 * @param {Box} frame
 * @param {number} gap
 * @returns {(Box|null)[]} null where no place is left
 * @typedef {{left: number, right: number, top: number, bottom: number}} Box
 */
export function place(names, taken, line, frame, gap) {
  const boxes = [...taken];
  const isFree = (box, own) =>
    box.left > frame.left &&
    box.right < frame.right &&
    box.top > frame.top &&
    box.bottom < frame.bottom &&
    !boxes.some((other) => other !== own && overlap(box, other)) &&
    !line.some((end, at) => at > 0 && crosses(box, line[at - 1], end));
  return names.map((name) => {
    const found = around(name, gap).find((box) => isFree(box, name.box)) ?? null;
    if (found) boxes.push(found);
    return found;
  });
}

/** Beside, above and below a point, then at its corners. */
function around({ box, width, height }, gap) {
  const lefts = [box.right + gap / 2, box.left - gap / 2 - width];
  const centre = [(box.left + box.right - width) / 2, (box.top + box.bottom - height) / 2];
  const tops = [box.top - gap / 2 - height, box.bottom + gap / 2];
  const corners = [
    [lefts[1], tops[0]],
    [lefts[0], tops[1]],
    [lefts[1], tops[1]],
    [lefts[0], tops[0]],
  ];
  return [
    ...lefts.map((left) => [left, centre[1]]),
    ...tops.map((top) => [centre[0], top]),
    ...corners,
  ].map(([left, top]) => ({ left, right: left + width, top, bottom: top + height }));
}

const overlap = (a, b) =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** Whether a straight line touches a box: clipped to it, something is left (Liang and Barsky). */
function crosses(box, [x, y], [toX, toY]) {
  let enters = 0;
  let leaves = 1;
  for (const [from, step, low, high] of [
    [x, toX - x, box.left - MARGIN, box.right + MARGIN],
    [y, toY - y, box.top - MARGIN, box.bottom + MARGIN],
  ]) {
    if (step === 0 && (from < low || from > high)) return false;
    if (step === 0) continue;
    const ends = [(low - from) / step, (high - from) / step];
    enters = Math.max(enters, Math.min(...ends));
    leaves = Math.min(leaves, Math.max(...ends));
  }
  return enters <= leaves;
}
