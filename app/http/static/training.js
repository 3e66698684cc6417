/** Training the head: progress, what it learnt, undo and download. */

import { errorText } from "./answers.js";
import { byId, make } from "./dom.js";
import { download } from "./download.js";
import { findings } from "./findings.js";
import * as heads from "./heads.js";
import * as lesson from "./lesson.js";
import * as uploads from "./uploads.js";

const ASK_MS = 1000;
let running = false;

export function install() {
  byId("train").addEventListener("click", () => during(train));
  byId("undo").addEventListener("click", () => during(heads.undo));
  byId("download").addEventListener("click", save);
  lesson.changes.addEventListener("change", draw);
  uploads.changes.addEventListener("change", draw);
}

async function train(head) {
  await uploads.settled();
  await heads.train(head);
}

/** Do something that takes a while, and show the head that is served afterwards. */
async function during(work) {
  const began = Date.now();
  const timer = setInterval(() => {
    byId("train-seconds").textContent = `${Math.round((Date.now() - began) / 1000)} s`;
  }, 1000);
  running = true;
  byId("train-error").replaceChildren();
  draw();
  try {
    await work(lesson.current().name);
    await lesson.refresh();
  } catch (error) {
    byId("train-error").replaceChildren(errorText(error));
    if (error.status === 409) await lesson.refresh().catch(() => {}); // another page trains it
  } finally {
    clearInterval(timer);
    byId("train-seconds").textContent = "";
    running = false;
    draw();
  }
}

/** A training that another page started: wait for its end. */
async function follow(head) {
  while (lesson.current()?.training) {
    await new Promise((resume) => setTimeout(resume, ASK_MS));
    if (lesson.current()?.name !== head) return;
    await lesson.refresh();
  }
}

function draw() {
  const head = lesson.current();
  if (!head) return;
  const busy = running || head.training;
  const withPhotos = lesson.labels().filter((label) => lesson.examplesOf(label).length).length;
  byId("train").disabled = busy || withPhotos < 2;
  byId("train-progress").hidden = !busy;
  byId("undo").hidden = !head.taught;
  byId("undo").disabled = busy;
  byId("download").hidden = !head.taught;
  const text = busy ? "Training" : state(head, withPhotos);
  const said = byId("train-state"); // screen readers speak it, so not during a burst of photos
  if (said.textContent !== text && (busy || !uploads.pending())) said.textContent = text;
  byId("use").hidden = !head.taught;
  byId("use-command").textContent =
    `curl --data-binary @photo.jpg '${new URL(`predict?model=${head.name}`, location)}'`;
  drawFindings(head);
  if (head.training && !running) during(follow);
}

function state(head, withPhotos) {
  if (withPhotos < 2) return "Add photos to at least two classes.";
  const all = `${head.examples.length} photos of ${withPhotos} classes`;
  if (!head.taught) return `${all}, not trained yet.`;
  const when = new Date(head.taught_at).toLocaleString();
  return head.outdated
    ? `${all}; some have changed since the training of ${when}.`
    : `${all}, trained ${when}.`;
}

let drawn = null; // the report that is shown, as text

function drawFindings(head) {
  const text = JSON.stringify(head.report);
  if (text === drawn) return;
  drawn = text;
  byId("findings").replaceChildren(...(head.report ? findings(head.report) : []));
}

async function save() {
  try {
    const { name } = lesson.current();
    download(await heads.file(name), `${name}.head.npz`);
  } catch (error) {
    byId("train-error").replaceChildren(errorText(error));
  }
}
