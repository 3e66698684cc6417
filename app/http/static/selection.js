/** The selected images, and the bar with what can be done to them. */

import { errorText } from "./answers.js";
import { byId, make } from "./dom.js";
import * as lesson from "./lesson.js";

/**
 * @typedef {{key: string, id: string, owner: Owner}} Image `key` is unique on the page
 * @typedef {{has: (id: string) => boolean, move: (ids: string[], label: string) => Promise,
 *   remove: (ids: string[]) => Promise}} Owner
 */
const chosen = new Map(); // key -> image

/** Select an image, or not any longer. @param {Image} image */
export function toggle(image, on = !chosen.has(image.key)) {
  if (on) chosen.set(image.key, image);
  else chosen.delete(image.key);
  draw();
}
export const has = (key) => chosen.has(key);

export function install() {
  byId("selection-move").addEventListener("click", () => {
    const label = byId("selection-label").value;
    act((owner, ids) => owner.move(ids, label));
  });
  byId("selection-delete").addEventListener("click", remove);
  byId("selection-clear").addEventListener("click", clear);
  lesson.changes.addEventListener("change", draw);
}

/** Delete the selected images after a confirmation. */
export function remove() {
  const count = chosen.size;
  if (count && confirm(`Delete ${count} ${count === 1 ? "image" : "images"}?`))
    act((owner, ids) => owner.remove(ids));
}

async function act(work) {
  const bar = byId("selection");
  bar.setAttribute("aria-busy", "true");
  byId("selection-error").replaceChildren();
  const images = [...chosen.values()];
  try {
    for (const owner of new Set(images.map((image) => image.owner)))
      await work(
        owner,
        images.filter((image) => image.owner === owner).map(({ id }) => id),
      );
    clear();
  } catch (error) {
    byId("selection-error").replaceChildren(errorText(error));
  } finally {
    bar.removeAttribute("aria-busy");
  }
}

function clear() {
  chosen.clear();
  byId("selection-error").replaceChildren();
  draw();
}

function draw() {
  for (const [key, { id, owner }] of chosen) if (!owner.has(id)) chosen.delete(key);
  for (const tile of document.querySelectorAll(".tile"))
    tile.setAttribute("aria-pressed", String(chosen.has(tile.dataset.key)));
  byId("selection").hidden = !chosen.size;
  byId("selection-count").textContent = `${chosen.size} selected`;
  const select = byId("selection-label");
  const before = select.value;
  const labels = lesson.labels();
  select.replaceChildren(...labels.map((label) => make("option", { value: label }, label)));
  if (labels.includes(before)) select.value = before;
  byId("selection-move").disabled = !labels.length;
}
