/** Which model at which resolution, and what that costs. */

import { getJson } from "./api.js";
import { bar, byId, make } from "./dom.js";
import { bytes, count, ms, ratio } from "./format.js";
import * as timings from "./timings.js";

export const changes = new EventTarget();
const details = new Map(); // model -> GET /models/{name}
let models = [];
let chosen = null;
let detail = null;
let resolution = 0;

/** @returns {{model: string, resolution: number}} */
export const current = () => ({ model: chosen.name, resolution });
export const chosenModel = () => chosen;

/** Offer these models; the default one is chosen. */
export async function install(found) {
  models = found;
  const select = byId("model");
  select.replaceChildren(...models.map(({ name }) => make("option", { value: name }, name)));
  select.addEventListener("change", () => choose(select.value));
  const slider = byId("resolution");
  slider.addEventListener("input", () => { byId("resolution-shown").textContent = `${slider.value} px`; });
  slider.addEventListener("change", () => setResolution(Number(slider.value)));
  byId("resolution-reset").addEventListener("click", () => {
    setResolution(chosen.resolution);
    slider.focus();
  });
  timings.changes.addEventListener("change", () => chosen && showCost());
  await choose(basis().name);
}

/** Take another model, at the resolution that it was trained for. */
export async function choose(name) {
  const found = models.find((model) => model.name === name);
  if (!details.has(name)) details.set(name, await getJson(`models/${encodeURIComponent(name)}`));
  chosen = found;
  detail = details.get(name);
  byId("model").value = name;
  const { minimum, maximum, step } = detail.card.resolutions;
  const slider = byId("resolution");
  Object.assign(slider, { min: minimum, max: maximum, step, disabled: minimum === maximum });
  setResolution(found.resolution);
}

/** @param {number} wanted */
function setResolution(wanted) {
  resolution = wanted;
  byId("resolution").value = wanted;
  byId("resolution-shown").textContent = `${wanted} px`;
  const asTrained = wanted === chosen.resolution;
  byId("resolution-note").textContent = `Trained at ${chosen.resolution} px${asTrained ? "." : ";"}`;
  byId("resolution-reset").hidden = asTrained;
  showCost();
  changes.dispatchEvent(new Event("change"));
}

/**
 * Multiply-adds and memory at another resolution. Every resolution is a multiple of all strides
 * together, so convolutions and activations grow exactly with the area; the classifier does not.
 */
function costAt(model, card, side) {
  const area = (side / model.resolution) ** 2;
  const classifier = card.cost.classifier_madds;
  return {
    madds: classifier + (model.madds - classifier) * area,
    memory: model.peak_activation_bytes * area,
  };
}

/** What the others are compared with: the default, which may be to choose anew each time. */
const basis = () => models.find((model) => model.default) ?? models[0];

function showCost() {
  const now = costAt(chosen, detail.card, resolution);
  const reference = basis();
  const most = {
    madds: Math.max(now.madds, ...models.map((model) => model.madds)),
    memory: Math.max(now.memory, ...models.map((model) => model.peak_activation_bytes)),
    params: Math.max(...models.map((model) => model.params)),
    file: Math.max(...models.map((model) => model.file_bytes)),
  };
  const measured = timings.median(chosen.name, resolution);
  const referenceMs = timings.median(reference.name, reference.resolution)?.ms;
  byId("cost").replaceChildren(
    ...row("Multiply-adds", count(now.madds), now.madds / most.madds, ratio(now.madds, reference.madds)),
    ...row("Inference here", measured ? ms(measured.ms) : "not yet", null,
      measured && referenceMs ? ratio(measured.ms, referenceMs) : ""),
    ...row("Activations", bytes(now.memory), now.memory / most.memory, ratio(now.memory, reference.peak_activation_bytes)),
    ...row("Parameters", count(chosen.params), chosen.params / most.params, ratio(chosen.params, reference.params)),
    ...row("File", bytes(chosen.file_bytes), chosen.file_bytes / most.file, ratio(chosen.file_bytes, reference.file_bytes)),
    ...row("Top-1", accuracy(), null, ""),
  );
  const same = chosen === reference && resolution === reference.resolution;
  byId("cost-note").textContent = same ? "" : `More and less: than ${reference.name} at ${reference.resolution} px.`;
}

/** Published for the trained resolution, so said of no other. */
function accuracy() {
  if (!chosen.top1) return "not published";
  const published = `${chosen.top1.percent} %`;
  return resolution === chosen.resolution ? published : `${published} at ${chosen.resolution} px`;
}

function row(name, value, share, change) {
  return [
    make("dt", {}, name),
    make("dd", {}, change ? make("span", { className: "change" }, `${change} `) : null, make("b", {}, value)),
    share === null ? make("dd", { className: "none" }) : make("dd", { className: "part" }, bar(share)),
  ];
}
