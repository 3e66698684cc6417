/**
 * Small images, loaded when they come into view.
 * Requests carry the key, so the address of an image cannot be its `src`.
 */

import { ask } from "./api.js";
import { make } from "./dom.js";
import { reduced } from "./reduced.js";

const PIXELS = 192; // of the shorter side: sharp on dense screens
const small = new Map(); // path -> promise of an address of a small image

const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      show(target);
    }
  },
  { rootMargin: "200px" },
);

/** An image element for what is at a path of the service. */
export function thumbnail(path) {
  const made = make("img", { alt: "", "data-path": path });
  seen.observe(made);
  return made;
}

/** Use an image that is here already, instead of requesting it. */
export function keep(path, image) {
  if (!small.has(path)) small.set(path, reduced(image, PIXELS));
}

async function show(image) {
  const { path } = image.dataset;
  if (!small.has(path))
    small.set(
      path,
      ask(path)
        .then((response) => response.blob())
        .then((blob) => reduced(blob, PIXELS)),
    );
  try {
    image.src = await small.get(path);
  } catch {
    small.delete(path); // it may be gone, or of a format that this browser cannot show
    image.classList.add("unseen");
  }
}
