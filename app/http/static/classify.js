/** Classifies images and shows their answers. */

import { errorText, headline, shown } from "./answers.js";
import { predict } from "./api.js";
import * as choice from "./choice.js";
import * as compare from "./compare.js";
import { announce, byId, make, speak } from "./dom.js";
import * as dropped from "./dropped.js";
import * as examples from "./examples.js";
import * as history from "./history.js";
import { gone } from "./reachable.js";
import * as timings from "./timings.js";
import { why } from "./why.js";

const AT_ONCE = 4;
const SPOKEN = 5; // images whose labels are spoken
const MOST = 500; // images at a time
const HOPELESS = new Set([0, 401, 403]); // the next image would get the same answer
const MOST_LOST = 3; // times that an image is sent again after it got no answer
const NEAR = 8; // images that may be on the first screen
let items = []; // {image, name, card, answer, url, said, isLost, lost}
let skipped = 0; // files of a folder that are no images
let round = 0; // counts runs over all items; answers of earlier runs are dropped

/** Accept images from the button, from drag and drop, and from the clipboard. */
export function install() {
  const input = byId("files");
  byId("choose").addEventListener("click", () => input.click());
  for (const source of [input, byId("photo")]) {
    source.addEventListener("change", () => {
      show([...source.files]);
      source.value = ""; // so that the same file can be chosen again
    });
  }
  const reading = (count) => {
    byId("tally").textContent = `Reading: ${count} images …`;
  };
  const reject = (error) => {
    byId("tally").textContent = "";
    announce(error);
  };
  dropped.install(document, show, reject, byId("drop"), reading);
  examples.install(show);
  document.addEventListener("paste", ({ clipboardData: pasted, target }) => {
    const isLink = /^https?:\/\/\S+$/.test(pasted.getData("text/plain").trim());
    if (isLink && !pasted.files.length && !target.matches?.("input")) announce(dropped.LINK);
    show([...pasted.files]);
  });
  choice.changes.addEventListener("ask", () => {
    if (items.length) classifyAll();
  });
}

/** Replace the shown images by these and classify them. */
export function show(files, others = 0) {
  if (!files.length) return Promise.resolve();
  const title = "Too many images";
  const tooMany = { title, message: `The first ${MOST} of ${files.length} are classified.` };
  announce(files.length > MOST ? tooMany : null);
  forget();
  items = files.slice(0, MOST).map(newItem);
  skipped = others;
  byId("drop").classList.add("small");
  byId("results").replaceChildren(...items.map((item) => item.card));
  return classifyAll();
}

/** The first shown image, or null. */
export const anyImage = () => items[0]?.image ?? null;

/** Drop the shown images, because something else is shown. */
export function forget() {
  round += 1;
  for (const item of items) URL.revokeObjectURL(item.url);
  items = [];
  byId("tally").textContent = "";
}

/** Classify again, if the service could not be reached for some of the images. */
export const again = () => (items.some(({ isLost }) => isLost) ? classifyAll() : null);

function newItem(image, at) {
  const { name } = image;
  const url = URL.createObjectURL(image);
  const loading = at < NEAR ? "eager" : "lazy"; // the page would jump
  const thumbnail = make("img", { loading, src: url, alt: "", className: "thumb" });
  thumbnail.addEventListener("error", () =>
    // TIFF or HEIC, or not an image
    thumbnail.replaceWith(make("p", { className: "thumb unseen" }, "no preview")),
  );
  const answer = make("div", { className: "answer" });
  const card = make(
    "li",
    { className: "card result" },
    thumbnail,
    make("div", {}, make("h2", {}, name), answer),
  );
  return { image, name, card, answer, url, lost: 0 };
}

/** Classify all images with the current choice, a few at a time. */
async function classifyAll() {
  round += 1;
  const mine = round;
  const waiting = [...items];
  let done = 0;
  let failed = 0;
  let hopeless = null;
  const began = performance.now();
  const tally = () => {
    if (mine !== round) return;
    const all = items.length;
    const seconds = (performance.now() - began) / 1000;
    byId("tally").textContent =
      done < all
        ? `${done} of ${all} …`
        : [
            `${all} ${all === 1 ? "image" : "images"} in ${seconds.toFixed(2)} s`,
            failed ? `${failed} failed` : "",
            skipped ? `${skipped} other ${skipped === 1 ? "file" : "files"} skipped` : "",
          ]
            .filter(Boolean)
            .join(", ");
  };
  const work = async () => {
    for (let item = waiting.shift(); item && mine === round; item = waiting.shift()) {
      const error = hopeless ? fail(item, hopeless) : await classifyOne(item, () => mine === round);
      if (HOPELESS.has(error?.status)) hopeless = error;
      done += 1;
      failed += error ? 1 : 0;
      tally();
    }
  };
  tally();
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (mine === round) speak(spoken());
}

/** The labels for screen readers; errors are alerts of their own. */
function spoken() {
  const known = items.filter(({ said }) => said);
  if (items.length === 1) return known.map(({ said }) => said).join();
  const named = known.slice(0, SPOKEN).map(({ name, said }) => `${name}: ${said}`);
  return [...named, known.length > SPOKEN ? `and ${known.length - SPOKEN} more` : ""].join(". ");
}

/** Classify an image and show its answer or its error. @returns {Promise<Error|null>} */
async function classifyOne(item, wanted) {
  item.card.classList.add("busy");
  item.said = "";
  item.isLost = false;
  const waiting = (seconds) => {
    const text = `The gateway is busy. Asking again in ${seconds} s.`;
    if (wanted()) item.answer.replaceChildren(make("p", { className: "hint wait" }, text));
  };
  try {
    const answer = await predict(item.image, choice.asked(), waiting);
    const [result] = answer.results;
    timings.note(answer.model, answer.resolution, result.inference_ms);
    item.said = headline(result);
    history.note(item.image, answer, result);
    choice.follow(answer).catch(announce);
    const parts = [...shown(answer, result), why(item.image, answer)];
    if (wanted()) item.answer.replaceChildren(...parts);
    const second = wanted() ? await compare.answer(item.image) : null;
    if (second && wanted()) {
      item.answer.replaceChildren(compare.columns({ model: answer.model, parts }, second));
      item.said += second.said;
    }
    item.lost = 0;
    return null;
  } catch (error) {
    return wanted() ? fail(item, error) : error;
  } finally {
    if (wanted()) item.card.classList.remove("busy");
  }
}

/** Show an error. @returns the same error */
function fail(item, error) {
  if (error.status === 0) {
    gone();
    item.lost += 1;
  }
  item.isLost = error.status === 0 && item.lost <= MOST_LOST;
  const later = item.isLost ? "The page asks again when the gateway is back." : "";
  item.answer.replaceChildren(errorText(error), make("p", { className: "hint" }, later));
  return error;
}
