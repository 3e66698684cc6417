/** Classifies images and shows their answers. */

import { errorText, headline, shown } from "./answers.js";
import { predict } from "./api.js";
import * as choice from "./choice.js";
import * as compare from "./compare.js";
import { announce, byId, make, speak } from "./dom.js";
import * as dropped from "./dropped.js";
import * as examples from "./examples.js";
import * as history from "./history.js";
import * as timings from "./timings.js";
import { why } from "./why.js";

const AT_ONCE = 4;
const SPOKEN = 5; // images whose labels are spoken
let items = []; // {image, name, card, url}
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
  dropped.install(document, show, announce, byId("drop"));
  examples.install(show);
  document.addEventListener("paste", (event) => show([...event.clipboardData.files]));
  choice.changes.addEventListener("ask", () => {
    if (items.length) classifyAll();
  });
}

/** Replace the shown images by these and classify them. */
export function show(files) {
  if (!files.length) return Promise.resolve();
  announce(null);
  for (const item of items) URL.revokeObjectURL(item.url);
  items = files.map((file) => newItem(file, file.name));
  byId("drop").classList.add("small");
  byId("results").replaceChildren(...items.map((item) => item.card));
  return classifyAll();
}

/** The first shown image, or null. */
export const anyImage = () => items[0]?.image ?? null;

function newItem(image, name) {
  const url = URL.createObjectURL(image);
  const thumbnail = make("img", { src: url, alt: "", className: "thumb" });
  thumbnail.addEventListener("error", () => thumbnail.classList.add("unseen")); // TIFF, or not an image
  const answer = make("div", { className: "answer" });
  const card = make(
    "li",
    { className: "card result" },
    thumbnail,
    make("div", {}, make("h2", {}, name), answer),
  );
  return { image, name, card, answer, url };
}

/** Classify all images with the current choice, a few at a time. */
async function classifyAll() {
  round += 1;
  const mine = round;
  const waiting = [...items];
  let done = 0;
  let failed = 0;
  const began = performance.now();
  const tally = () => {
    if (mine !== round) return;
    const all = items.length;
    const seconds = (performance.now() - began) / 1000;
    byId("tally").textContent =
      done < all
        ? `${done} of ${all} …`
        : `${all} ${all === 1 ? "image" : "images"} in ${seconds.toFixed(2)} s${failed ? `, ${failed} failed` : ""}`;
  };
  const work = async () => {
    for (let item = waiting.shift(); item && mine === round; item = waiting.shift()) {
      const fine = await classifyOne(item, () => mine === round);
      done += 1;
      failed += fine ? 0 : 1;
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

async function classifyOne(item, wanted) {
  item.card.classList.add("busy");
  item.said = "";
  try {
    const answer = await predict(item.image, choice.asked());
    const [result] = answer.results;
    timings.note(answer.model, answer.resolution, result.inference_ms);
    item.said = headline(result);
    history.note(item.name, answer, result);
    choice.follow(answer).catch(announce);
    const parts = [...shown(answer, result), why(item.image, answer)];
    if (wanted()) item.answer.replaceChildren(...parts);
    const second = wanted() ? await compare.answer(item.image, item.name) : null;
    if (second && wanted()) {
      item.answer.replaceChildren(compare.columns(parts, second.parts));
      item.said += second.said;
    }
    return true;
  } catch (error) {
    if (wanted()) item.answer.replaceChildren(errorText(error));
    return false;
  } finally {
    if (wanted()) item.card.classList.remove("busy");
  }
}
