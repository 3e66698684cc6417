/** Photos on their way into a class. */

import { Problem } from "./api.js";
import * as heads from "./heads.js";
import * as lesson from "./lesson.js";
import * as thumbnails from "./thumbnails.js";

const AT_ONCE = 3;
const HOPELESS = new Set([0, 401, 403, 404, 409, 507]); // the next photo would get the same answer

/** "change": other numbers of photos are on their way or failed. */
export const changes = new EventTarget();
const told = () => changes.dispatchEvent(new Event("change"));
let waiting = []; // {head, label, image}
const sending = new Set();
let failed = []; // {head, label, name, error}

const into = (label) => (one) => one.label === label && one.head === lesson.current()?.name;
/** How many photos are on their way. */
export const pending = () => waiting.length + sending.size;
export const pendingOf = (label) => [...waiting, ...sending].filter(into(label)).length;
/** Photos of a class that were not added. */
export const failures = (label) => failed.filter(into(label));

/** Send images to a class; earlier failures of the class are forgotten. */
export function send(label, images) {
  const head = lesson.current().name;
  const again = into(label);
  failed = failed.filter((one) => !again(one));
  waiting.push(...images.map((image) => ({ head, label, image })));
  work();
  told();
}

/** Resolves when nothing is on its way. */
export async function settled() {
  while (pending())
    await new Promise((resume) => changes.addEventListener("change", resume, { once: true }));
}

function work() {
  // The first example creates the head, so it goes alone.
  const most = lesson.current()?.isNew ? 1 : AT_ONCE;
  while (waiting.length && sending.size < most) {
    const one = waiting.shift();
    sending.add(one);
    deliver(one).finally(async () => {
      sending.delete(one);
      work();
      if (!pending()) await lesson.refresh().catch(() => {});
      told();
    });
  }
}

async function deliver({ head, label, image }) {
  try {
    if (image.type && !image.type.startsWith("image/")) {
      const detail = `Its type is ${image.type}.`;
      throw new Problem({ title: "Not an image", detail, status: 415 });
    }
    const example = await heads.addImage(head, label, image, lesson.baseOfFirst(head));
    thumbnails.keep(heads.imagePath(head, example.id), image);
    lesson.note(head, example);
  } catch (error) {
    failed.push({ head, label, name: image.name, error });
    if (!HOPELESS.has(error.status)) return;
    failed.push(...waiting.map((one) => ({ ...one, name: one.image.name, error })));
    waiting = [];
  }
}
