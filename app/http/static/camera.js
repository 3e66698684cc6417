/** The camera: one photo, or a stream of photos as fast as they are answered. */

import { predict } from "./api.js";
import * as choice from "./choice.js";
import { errorText, show, shown } from "./classify.js";
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

/** Browsers allow video only on pages from HTTPS or from this machine; elsewhere, take a photo. */
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
          ? "The browser has no permission to use it."
          : "No usable camera was found.",
    };
    byId("results").replaceChildren(make("li", { className: "card" }, errorText(why)));
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

/** The current frame as a JPEG file. */
async function frame() {
  const video = byId("video");
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  return new File([blob], "camera.jpg", { type: blob.type });
}

/** Classify one frame after another until the box is unticked. */
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
      answer.replaceChildren(errorText(error));
      byId("camera-keep").checked = false;
      return;
    }
    await new Promise(requestAnimationFrame); // let the browser paint, and pause while the page is hidden
    title.textContent = `camera, ${(1000 / (performance.now() - began)).toFixed(1)} frames per second`;
  }
}
