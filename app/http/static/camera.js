/** The camera: one photo, or one after the other as fast as they are answered. */

import { predict } from "./api.js";
import * as choice from "./choice.js";
import { refusal, show, shown } from "./classify.js";
import { byId, make } from "./dom.js";
import * as timings from "./timings.js";

const QUALITY = 0.9;
let stream = null;

export function install() {
  byId("camera-start").addEventListener("click", start);
  byId("camera-stop").addEventListener("click", stop);
  byId("camera-take").addEventListener("click", async () => {
    byId("camera-keep").checked = false;
    show([await frame()]);
  });
  byId("camera-keep").addEventListener("change", keepGoing);
}

/** Browsers give the picture only to pages from HTTPS or from this machine; others take a photo. */
async function start() {
  if (!navigator.mediaDevices) {
    byId("photo").click();
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    const why = {
      title: "No camera",
      message:
        error.name === "NotAllowedError"
          ? "The browser was not allowed to use it."
          : "None was found that can be used.",
    };
    byId("results").replaceChildren(make("li", { className: "card" }, refusal(why)));
    return;
  }
  const video = byId("video");
  video.srcObject = stream;
  await video.play();
  byId("camera").hidden = false;
  byId("camera-start").hidden = true;
  byId("camera-take").focus();
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  byId("camera-keep").checked = false;
  byId("camera").hidden = true;
  byId("camera-start").hidden = false;
  byId("camera-start").focus();
}

/** What the camera sees now, as a JPEG file. */
async function frame() {
  const video = byId("video");
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  return new File([blob], "camera.jpg", { type: blob.type });
}

/** Frame, answer, frame, answer, until the box is no longer ticked. */
async function keepGoing() {
  if (!byId("camera-keep").checked) return;
  const answer = make("div", { className: "answer" });
  const title = make("h3", {}, "camera");
  byId("results").replaceChildren(
    make("li", { className: "card result live" }, make("div", {}, title, answer)),
  );
  while (stream && byId("camera-keep").checked) {
    const began = performance.now();
    try {
      const found = await predict(await frame(), choice.asked());
      const [result] = found.results;
      timings.note(found.model, found.resolution, result.inference_ms);
      await choice.follow(found);
      answer.replaceChildren(...shown(found, result));
    } catch (error) {
      answer.replaceChildren(refusal(error));
      byId("camera-keep").checked = false;
      return;
    }
    await new Promise(requestAnimationFrame); // let the page be seen, and rest while it is hidden
    title.textContent = `camera, ${(1000 / (performance.now() - began)).toFixed(1)} frames a second`;
  }
}
