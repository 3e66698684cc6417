/** A grid of images that can be selected, with pointer and keyboard. */

import { button, make } from "./dom.js";
import * as selection from "./selection.js";
import { thumbnail } from "./thumbnails.js";

export class Grid {
  #list;
  #more;
  #tiles = new Map(); // key -> item of the list
  #images = [];
  #limit;
  #last = null; // key of the tile that was clicked last; Shift extends from there

  /** @param {string} name for screen readers
   * @param {number} limit how many images are shown at first */
  constructor(name, limit = Infinity) {
    this.#limit = limit;
    this.#list = make("ul", { className: "grid", "aria-label": name });
    this.#more = button("", { className: "link", hidden: true }, () => {
      this.#limit = Infinity;
      this.#draw();
    });
    this.element = make("div", {}, this.#list, this.#more);
  }

  /** Show these images: {key, id, owner, path, name}, and perhaps a caption and title. */
  show(images) {
    this.#images = images;
    this.#draw();
  }

  selectAll() {
    for (const image of this.#images) selection.toggle(image, true);
  }

  #draw() {
    const shown = this.#images.slice(0, this.#limit);
    const keys = new Set(shown.map(({ key }) => key));
    for (const key of this.#tiles.keys()) if (!keys.has(key)) this.#tiles.delete(key);
    const items = shown.map((image) => this.#tile(image));
    const before = [...this.#list.children];
    if (items.length !== before.length || items.some((item, at) => item !== before[at])) {
      const focused = document.activeElement;
      this.#list.replaceChildren(...items);
      if (this.#list.contains(focused)) focused.focus();
    }
    const hidden = this.#images.length - shown.length;
    this.#more.hidden = !hidden;
    this.#more.textContent = `Show ${hidden} more`;
  }

  #tile(image) {
    const known = this.#tiles.get(image.key);
    if (known && known.caption === (image.caption ?? "")) return known.item;
    const tile = button(
      "",
      {
        className: "tile",
        "aria-pressed": String(selection.has(image.key)),
        "aria-label": [image.name, image.caption].filter(Boolean).join(", "),
        title: image.title ?? null,
        "data-key": image.key,
      },
      (event) => this.#click(image, event.shiftKey),
    );
    tile.addEventListener("keydown", ({ key }) => {
      if (key !== "Delete") return;
      selection.toggle(image, true);
      selection.remove();
    });
    tile.append(thumbnail(image.path));
    const caption = image.caption ? make("span", { className: "caption" }, image.caption) : null;
    const item = make("li", {}, tile, caption);
    this.#tiles.set(image.key, { item, caption: image.caption ?? "" });
    return item;
  }

  #click(image, extend) {
    const at = (key) => this.#images.findIndex((one) => one.key === key);
    const [from, to] = [at(this.#last), at(image.key)].sort((a, b) => a - b);
    if (extend && from >= 0)
      for (const one of this.#images.slice(from, to + 1)) selection.toggle(one, true);
    else selection.toggle(image);
    this.#last = image.key;
  }
}
