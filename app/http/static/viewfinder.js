/** The camera beside the classes, and what the head says of what it sees. */

import { errorText, labels } from "./answers.js";
import { predict } from "./api.js";
import { byId, make } from "./dom.js";
import * as dropped from "./dropped.js";
import * as lesson from "./lesson.js";
import { isAllowed, Webcam } from "./webcam.js";

// Models see 224 pixels of it, after cropping.
const WANTED = { width: { ideal: 640 }, height: { ideal: 480 } };
let webcam = null;
let shown = null; // address of the photo that is tried
let streams = 0; // the last one may continue

export function install() {
  webcam = new Webcam(byId("view"));
  byId("view-note").hidden = isAllowed();
  byId("view-start").addEventListener("click", () => open().catch(complain));
  byId("view-stop").addEventListener("click", close);
  byId("try-live").addEventListener("change", live);
  byId("try-photo").addEventListener("click", () => byId("try-file").click());
  byId("try-file").addEventListener("change", ({ target }) => {
    tryPhoto(target.files[0]);
    target.value = "";
  });
  dropped.install(byId("viewfinder"), ([photo]) => tryPhoto(photo), complain);
  lesson.changes.addEventListener("change", draw);
}

/** A photo from the camera, which is opened first. */
export async function frame() {
  if (!webcam.isOpen) await open();
  return webcam.frame();
}

async function open() {
  await webcam.open(WANTED);
  byId("answer").replaceChildren();
  draw();
}

function close() {
  webcam.close();
  byId("try-live").checked = false;
  draw();
  byId("view-start").focus();
}

function draw() {
  const { isOpen } = webcam;
  const taught = Boolean(lesson.current()?.taught);
  byId("viewfinder").classList.toggle("open", isOpen);
  byId("view").hidden = !isOpen;
  byId("view-start").hidden = isOpen || !isAllowed();
  byId("view-stop").hidden = !isOpen;
  byId("try-live-field").hidden = !isOpen;
  byId("try-live").disabled = !taught;
  byId("try-photo").hidden = !taught;
  byId("try-hint").hidden = taught;
}

/** Classify one frame after another until the box is unticked. */
async function live() {
  streams += 1;
  const mine = streams;
  const wanted = () => webcam.isOpen && byId("try-live").checked && mine === streams;
  while (wanted()) {
    try {
      await answer(await webcam.frame(), wanted);
    } catch (error) {
      byId("try-live").checked = false;
      complain(error);
    }
    await new Promise(requestAnimationFrame); // pause while the page is hidden
  }
}

async function tryPhoto(photo) {
  if (!photo || !lesson.current()?.taught) return;
  byId("try-live").checked = false;
  URL.revokeObjectURL(shown);
  const address = URL.createObjectURL(photo);
  shown = address;
  const image = make("img", { src: address, alt: photo.name, className: "tried" });
  try {
    await answer(photo, () => shown === address, image);
  } catch (error) {
    complain(error);
  }
}

async function answer(photo, wanted, image = null) {
  const found = await predict(photo, { model: lesson.current().name });
  const parts = [image, labels(found.results[0])];
  if (wanted()) byId("answer").replaceChildren(...parts.filter(Boolean));
}

const complain = (error) => byId("answer").replaceChildren(errorText(error));
