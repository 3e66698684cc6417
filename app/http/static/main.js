/** Starts the page; each part has its own module. */

import { getJson } from "./api.js";
import * as camera from "./camera.js";
import * as choice from "./choice.js";
import * as classify from "./classify.js";
import * as compare from "./compare.js";
import { announce, byId } from "./dom.js";
import * as history from "./history.js";
import * as key from "./key.js";
import * as layers from "./layers.js";
import * as live from "./live.js";
import * as modelTable from "./models.js";
import { state, watch } from "./reachable.js";
import * as snippets from "./snippets.js";
import * as timings from "./timings.js";

async function start() {
  key.install();
  classify.install();
  camera.install();
  history.install();
  snippets.install();
  const [{ models, broken }, info] = await Promise.all([
    getJson("models"),
    getJson("info"),
    timings.refresh(),
  ]);
  await choice.install(models, info.default_reason);
  state(true);
  compare.install(models);
  modelTable.install(models);
  layers.install();
  live.install();
  const lost = Object.entries(broken);
  if (lost.length)
    announce({
      title: "Not loaded",
      message: lost.map(([file, why]) => `${file}: ${why}`).join("; "),
    });
  byId("watch-link").hidden = !info.cameras.length;
  const { version, onnxruntime, cores, cores_reason: reason, settings } = info;
  byId("stored").textContent = settings.capture
    ? "It keeps those that a model is unsure of."
    : "It does not store them.";
  byId("about").textContent =
    `mobilenet-gateway ${version}, onnxruntime ${onnxruntime}, ${cores} cores (${reason})`;
}

let started = false;
start()
  .then(() => {
    started = true;
  })
  .catch((error) => {
    state(false, error.title ?? "error");
    announce(error);
  });
watch(() => (started ? classify.again() : location.reload()));
