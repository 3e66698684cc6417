/** The camera: one photo, or a stream of photos as fast as they are answered. */

import { errorText, headline, labels, shown } from "./answers.js";
import { predict } from "./api.js";
import * as choice from "./choice.js";
import { forget, show } from "./classify.js";
import { byId, make, speak } from "./dom.js";
import * as timings from "./timings.js";
import { isAllowed, Webcam } from "./webcam.js";

const PAUSE_MS = 3000; // between two labels that screen readers speak
let webcam = null;
let streams = 0; // the last one may continue

export function install() {
  webcam = new Webcam(byId("video"));
  byId("camera-start").addEventListener("click", start);
  byId("camera-stop").addEventListener("click", stop);
  byId("camera-take").addEventListener("click", async () => {
    byId("camera-keep").checked = false;
    show([await webcam.frame()]);
  });
  byId("camera-keep").addEventListener("change", keepGoing);
}

async function start() {
  if (!isAllowed()) {
    byId("photo").click();
    return;
  }
  try {
    await webcam.open();
  } catch (error) {
    byId("results").replaceChildren(make("li", { className: "card" }, errorText(error)));
    return;
  }
  byId("camera").hidden = false;
  byId("drop").classList.add("small");
  byId("camera-start").hidden = true;
  byId("camera").scrollIntoView({ block: "nearest" });
  byId("camera-take").focus({ preventScroll: true });
}

function stop() {
  webcam.close();
  byId("camera-keep").checked = false;
  byId("camera").hidden = true;
  byId("seen").hidden = true;
  byId("camera-start").hidden = false;
  byId("camera-start").focus();
}

/** Classify one frame after another until the box is unticked. */
async function keepGoing() {
  if (!byId("camera-keep").checked) return;
  streams += 1;
  const mine = streams;
  const answer = make("div", { className: "answer" });
  const title = make("h2", {}, "camera");
  forget();
  byId("results").replaceChildren(
    make("li", { className: "card result live" }, make("div", {}, title, answer)),
  );
  let spoken = "";
  let quietUntil = 0;
  while (webcam.isOpen && byId("camera-keep").checked && mine === streams) {
    const began = performance.now();
    try {
      const found = await predict(await webcam.frame(), choice.asked());
      const [result] = found.results;
      timings.note(found.model, found.resolution, result.inference_ms);
      await choice.follow(found);
      answer.replaceChildren(...shown(found, result, [labels(result)]));
      byId("seen").textContent = headline(result);
      byId("seen").hidden = !webcam.isOpen;
      const [{ label }] = result.predictions;
      if (label !== spoken && performance.now() > quietUntil) {
        speak(label);
        spoken = label;
        quietUntil = performance.now() + PAUSE_MS;
      }
    } catch (error) {
      answer.replaceChildren(errorText(error));
      byId("camera-keep").checked = false;
      return;
    }
    await new Promise(requestAnimationFrame); // let the browser paint, and pause while the page is hidden
    title.textContent = `camera, ${(1000 / (performance.now() - began)).toFixed(1)} frames per second`;
  }
}
