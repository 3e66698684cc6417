/** A class with its photos, and the ways to add some. */

import { errorText } from "./answers.js";
import { button, make } from "./dom.js";
import * as dropped from "./dropped.js";
import { Grid } from "./grid.js";
import * as lesson from "./lesson.js";
import * as shutter from "./shutter.js";
import * as uploads from "./uploads.js";
import * as viewfinder from "./viewfinder.js";
import { isAllowed } from "./webcam.js";

const SHOWN = 24; // photos of a class, the newest first
const MAX_WAITING = 12; // photos of a burst; a slow service slows the burst down
const ACCEPTED = "image/*,.heic,.heif,.avif,.tif,.tiff";

/** @returns {{head: string, element: HTMLElement, draw: () => void}} */
export function newCard(head, label) {
  const problems = make("div", {});
  const show = (error) => problems.replaceChildren(...(error ? [errorText(error)] : []));
  const attempt = (work) => async () => {
    show(null);
    await work().catch(show);
  };
  const title = make("input", {
    type: "text",
    value: label,
    maxLength: 100,
    autocomplete: "off",
    "aria-label": "Name of the class",
  });
  title.addEventListener(
    "change",
    attempt(() => rename(title, label)),
  );
  const count = make("span", { className: "count" });
  const grid = new Grid(`Photos of ${label}`, SHOWN);
  const all = button("Select all", { className: "link" }, () => grid.selectAll());
  const remove = attempt(() => removeClass(label));
  const files = chooser(label, { multiple: true, accept: ACCEPTED });
  const folder = chooser(label, { multiple: true, webkitdirectory: true });
  const photo = chooser(label, { accept: "image/*", capture: "environment" });
  const element = make(
    "li",
    { className: "card class" },
    make("p", { className: "class-title" }, title, count),
    make(
      "p",
      { className: "actions" },
      isAllowed()
        ? shutterOf(label, show)
        : button("Take a photo", { className: "shutter" }, () => photo.click()),
      button("Choose photos", { className: "second" }, () => files.click()),
      button("Choose a folder", { className: "second" }, () => folder.click()),
    ),
    problems,
    grid.element,
    make(
      "p",
      { className: "class-foot" },
      all,
      button("Delete class", { className: "link" }, remove),
    ),
    files,
    folder,
    photo,
  );
  dropped.install(element, (images) => uploads.send(label, images), show);
  const draw = () => {
    const examples = lesson.examplesOf(label);
    const pending = uploads.pendingOf(label);
    count.textContent = `${examples.length}${pending ? ` + ${pending}` : ""}`;
    const failures = uploads.failures(label);
    if (failures.length) show(summary(failures));
    grid.show(newestFirst(examples).map(lesson.asImage));
    all.hidden = !examples.length;
  };
  return { head, element, draw };
}

function shutterOf(label, show) {
  const hold = make("button", { type: "button", className: "shutter" }, "Hold to take photos");
  shutter.install(hold, async () => {
    if (uploads.pending() >= MAX_WAITING) return true;
    try {
      uploads.send(label, [await viewfinder.frame()]);
      return true;
    } catch (error) {
      show(error);
      return false;
    }
  });
  return hold;
}

function chooser(label, properties) {
  const input = make("input", { type: "file", hidden: true, ...properties });
  input.addEventListener("change", () => {
    uploads.send(label, dropped.visible([...input.files]));
    input.value = ""; // so that the same files can be chosen again
  });
  return input;
}

/** Later ones first, also within a second. */
const newestFirst = (examples) =>
  [...examples].reverse().sort((one, other) => other.created.localeCompare(one.created));

/** One error for all photos that were not added. */
function summary(failures) {
  const [{ name, error }] = failures;
  const others = failures.length - 1;
  const title = others ? `${name} and ${others} more were not added` : `${name} was not added`;
  return { title, message: `${error.title}: ${error.message}` };
}

async function rename(title, label) {
  const name = title.value.trim();
  title.value = label; // until it is done
  if (name === label) return;
  const problem = lesson.problemOf(name);
  if (problem) throw Object.assign(new Error(problem), { title: "Not renamed" });
  const known = lesson.labels().includes(name);
  if (!known || confirm(`Move all photos of ${label} to ${name}?`))
    await lesson.renameClass(label, name);
}

async function removeClass(label) {
  const photos = lesson.examplesOf(label).length;
  if (!photos || confirm(`Delete ${label} with its ${photos} photos?`))
    await lesson.removeClass(label);
}
