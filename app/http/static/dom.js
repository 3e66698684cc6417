/** Creates elements. Text is never parsed as markup. */

/** @param {string} id */
export const byId = (id) => document.getElementById(id);

/**
 * An element with properties (`class`, `aria-*` and `data-*` as attributes) and children.
 * @param {string} tag
 * @param {Object<string, *>} properties
 * @param {...(Node|string|number|null)} children
 */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(
    ...children
      .filter((child) => child !== null)
      .map((child) => (typeof child === "number" ? String(child) : child)),
  );
  return made;
}

/**
 * A button that does something.
 * @param {string} text
 * @param {Object<string, *>} properties
 * @param {() => *} onClick
 */
export function button(text, properties, onClick) {
  const made = make("button", { type: "button", ...properties }, text);
  made.addEventListener("click", onClick);
  return made;
}

/** A name with a possible line break after each underscore. */
export const breakable = (name) =>
  name.split("_").flatMap((part, index) => (index ? ["_", make("wbr"), part] : [part]));

/** A bar filled to this share of its width. */
export function bar(share, kind = "") {
  const fill = make("span", { className: `fill ${kind}` });
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return make("span", { className: "bar", "aria-hidden": "true" }, fill);
}

/** Have screen readers say something. */
export function speak(text) {
  byId("said").textContent = text;
}

/** Show an error above the page, or remove it. */
export function announce(error) {
  const banner = byId("banner");
  banner.hidden = !error;
  banner.textContent = error ? `${error.title ?? "Error"}: ${error.message}` : "";
}
