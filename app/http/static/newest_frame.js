/** The newest frame of a camera, loaded when it is new and in view, with the zone over it. */

import { ask } from "./api.js";
import { make } from "./dom.js";
import { drawn } from "./zone.js";

const PATIENCE_MS = 10_000;
const WIDEST = 4 / 3; // a higher image is framed left and right

const frames = new WeakMap(); // element -> NewestFrame

const view = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) frames.get(target).see(isIntersecting);
  },
  { rootMargin: "100px" },
);

export class NewestFrame {
  #camera;
  #image;
  #zone = [];
  #isSeen = false;
  #isLoading = false;
  #newest = 0; // number of the frame
  #shown = 0;
  #drawn = ""; // the zone that is drawn, as text

  /** @param {string} camera */
  constructor(camera) {
    this.#camera = camera;
    this.#image = make("img", { alt: `Newest frame of ${camera}` });
    this.element = make("div", { className: "shot", "data-note": "No frame yet." }, this.#image);
    frames.set(this.element, this);
    view.observe(this.element);
  }

  /** Whether the element is in view. */
  see(isSeen) {
    this.#isSeen = isSeen;
    this.#load();
  }

  /** The camera has this many frames by now. */
  update({ frames_seen: count, zone }) {
    this.#newest = count;
    this.#zone = zone;
    this.#load();
  }

  async #load() {
    const newest = this.#newest;
    if (!this.#isSeen || this.#isLoading || document.hidden) return;
    if (!newest || newest === this.#shown) return;
    this.#isLoading = true;
    try {
      const path = `cameras/${this.#camera}/frame.jpg`;
      const response = await ask(path, { signal: AbortSignal.timeout(PATIENCE_MS) });
      const blob = await response.blob();
      this.#shown = newest;
      await this.#show(blob);
    } catch {
      // The next status loads it again; what is wrong stands beside the frame.
    } finally {
      this.#isLoading = false;
    }
  }

  async #show(blob) {
    const image = this.#image;
    const address = URL.createObjectURL(blob);
    image.src = address; // the one before it stays until this one is decoded
    try {
      await image.decode();
    } catch {
      image.removeAttribute("src");
      this.element.dataset.note = "This browser cannot show the newest frame.";
      this.#drawZone();
      return;
    } finally {
      URL.revokeObjectURL(address);
    }
    this.element.style.aspectRatio = Math.max(WIDEST, image.naturalWidth / image.naturalHeight);
    this.#drawZone();
  }

  #drawZone() {
    const { naturalWidth: width, naturalHeight: height } = this.#image;
    const isDrawn = width > 0 && this.#zone.length > 0;
    const text = isDrawn ? JSON.stringify([this.#zone, width, height]) : "";
    if (text === this.#drawn) return;
    this.#drawn = text;
    this.element.querySelector("svg")?.remove();
    if (isDrawn) this.element.append(drawn(this.#camera, this.#zone, this.#image));
  }
}
