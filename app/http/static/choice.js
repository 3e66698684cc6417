/** The chosen model and resolution, or the service's own choice, and its cost. */

import { getJson } from "./api.js";
import { announce, bar, byId, make } from "./dom.js";
import { bytes, count, ms, ratio } from "./format.js";
import { term } from "./terms.js";
import * as timings from "./timings.js";

/** "change": another model or resolution is shown; "ask": classify the images again. */
export const changes = new EventTarget();
const AUTO = "auto";
const NARROW = matchMedia("(max-width: 52rem)"); // as in page.css: the card is below the answers
const details = new Map(); // model -> GET /models/{name}
const tables = new Map(); // "model@resolution" -> GET /models/{name}/layers
let models = [];
let defaultReason = "";
let chosen = null;
let latest = null; // name of the latest choice
let resolution = 0;
let table = null;
let auto = false; // the service chooses for each request; the page shows the model that answered last

/** The query for /predict. */
export const asked = () =>
  auto
    ? { model: AUTO, max_latency_ms: byId("latency").value || null }
    : { model: chosen.name, resolution };
/** The shown variant. @returns {{model: string, resolution: number}} */
export const current = () => ({ model: chosen.name, resolution });
export const chosenModel = () => chosen;
/** The layers of the chosen model at the chosen resolution, with totals; null if unknown. */
export const chosenTable = () => table;

/** List these models, and `auto` if any accuracy is known; choose the default model. */
export async function install(found, reason) {
  models = found;
  defaultReason = reason;
  const select = byId("model");
  const option = (name, text = name) => make("option", { value: name }, text);
  select.replaceChildren(...models.map(({ name }) => option(name)));
  if (timings.offered().some(({ top1 }) => top1 !== null))
    select.prepend(option(AUTO, "auto: most accurate in time"));
  select.addEventListener("change", () =>
    select.value === AUTO ? chooseAuto() : choose(select.value).catch(announce),
  );
  byId("latency").addEventListener("change", () => changes.dispatchEvent(new Event("ask")));
  const slider = byId("resolution");
  slider.addEventListener("input", () => {
    byId("resolution-shown").textContent = `${slider.value} px`;
  });
  slider.addEventListener("change", () => setResolution(Number(slider.value)).catch(announce));
  byId("resolution-reset").addEventListener("click", () => {
    setResolution(chosen.resolution).catch(announce);
    slider.focus();
  });
  timings.changes.addEventListener("change", () => chosen && showCost());
  const fold = () => Object.assign(byId("fold"), { open: !NARROW.matches });
  NARROW.addEventListener("change", fold);
  fold();
  await choose(basis().name);
  if (!models.some((model) => model.default)) chooseAuto(); // like the service without a model
}

/** Switch between the service's choice and a chosen model. */
function setAuto(on) {
  auto = on;
  byId("latency-field").hidden = !on;
  byId("resolution-field").hidden = on;
}

function chooseAuto() {
  setAuto(true);
  byId("model").value = AUTO;
  changes.dispatchEvent(new Event("ask"));
}

/** Choose another model, at its trained resolution unless another is given. */
export async function choose(name, wanted = null) {
  setAuto(false);
  if (await take(name, wanted)) changes.dispatchEvent(new Event("ask"));
}

/** Show the model that the service chose. */
export async function follow({ model, resolution: side, choice }) {
  const known = models.some(({ name }) => name === model); // false if it was loaded after the page
  const other = model !== chosen.name || side !== resolution;
  if (auto && choice && known && other) await take(model, side);
}

/** Load and show a model; false if another one was chosen meanwhile. */
async function take(name, wanted) {
  latest = name;
  const slider = byId("resolution");
  if (!details.has(name)) {
    slider.disabled = true; // it still has the limits of the model before
    try {
      details.set(name, await getJson(`models/${encodeURIComponent(name)}`));
    } finally {
      if (latest === name) slider.disabled = false;
    }
  }
  if (latest !== name) return false; // another choice was made meanwhile
  chosen = models.find((model) => model.name === name);
  byId("model").value = auto ? AUTO : name;
  byId("model-note").textContent = standing();
  const { minimum, maximum, step } = details.get(name).card.resolutions;
  Object.assign(slider, { min: minimum, max: maximum, step, disabled: minimum === maximum });
  return showAt(wanted ?? chosen.resolution);
}

async function setResolution(wanted) {
  if (await showAt(wanted)) changes.dispatchEvent(new Event("ask"));
}

/** Show the chosen model at a resolution; false if another choice was made meanwhile.
 * @param {number} wanted */
async function showAt(wanted) {
  resolution = wanted;
  byId("resolution").value = wanted;
  byId("resolution-shown").textContent = `${wanted} px`;
  byId("fold-model").textContent = `${auto ? "auto, " : ""}${chosen.name} at ${wanted} px`;
  const asTrained = wanted === chosen.resolution;
  byId("resolution-note").textContent =
    `Trained at ${chosen.resolution} px${asTrained ? "." : ";"}`;
  byId("resolution-reset").hidden = asTrained;
  const model = chosen;
  const found = await layersAt(model.name, wanted);
  if (model !== chosen || wanted !== resolution) return false; // another choice was made meanwhile
  table = found;
  showCost();
  changes.dispatchEvent(new Event("change"));
  return true;
}

/** The layers of a model at a resolution; null if the service knows them only at the trained one. */
async function layersAt(model, side) {
  const asked = `models/${encodeURIComponent(model)}/layers?resolution=${side}`;
  if (!tables.has(asked)) {
    const unknown = (error) => {
      if (error.status === 422) return null;
      throw error;
    };
    tables.set(asked, await getJson(asked).catch(unknown));
  }
  return tables.get(asked);
}

/** Why the chosen model is the default, or that it is loaded later. */
function standing() {
  if (chosen.default) return `The default: ${defaultReason}.`;
  return chosen.state === "loaded" ? "" : "Loaded when a request first uses it.";
}

/** The model to compare costs with: the default one, or the first if the default is `auto`. */
const basis = () => models.find((model) => model.default) ?? models[0];

function showCost() {
  const reference = basis();
  const exact = (name, field, text) => {
    const value = (field === "params" || field === "file_bytes" ? chosen : table)?.[field] ?? null;
    if (value === null) return row(name, "unknown", null, "");
    const most = Math.max(value, ...models.map((model) => model[field]));
    return row(name, text(value), value / most, ratio(value, reference[field]));
  };
  const measured = timings.median(chosen.name, resolution);
  const referenceMs = timings.median(reference.name, reference.resolution);
  const rows = make(
    "dl",
    {},
    ...exact("Multiply-adds", "madds", count),
    ...row(
      "Inference",
      measured === null ? "not yet" : ms(measured),
      null,
      measured && referenceMs ? ratio(measured, referenceMs) : "",
    ),
    ...exact("Activations", "peak_activation_bytes", bytes),
    ...exact("Parameters", "params", count),
    ...exact("File", "file_bytes", bytes),
    ...row("Top-1", accuracy(), null, ""),
  );
  // Else the focus on a term would be lost with each answer.
  if (rows.textContent !== byId("cost").textContent) byId("cost").replaceChildren(...rows.children);
  const same = chosen === reference && resolution === reference.resolution;
  byId("cost-note").textContent = same
    ? ""
    : `Compared with ${reference.name} at ${reference.resolution} px.`;
}

/** Measured, or published for the trained resolution; interpolated by the service at others. */
function accuracy() {
  const known = timings.find(chosen.name, resolution);
  if (known?.top1)
    return known.top1_basis === "interpolated"
      ? `about ${known.top1.toFixed(1)} %`
      : `${known.top1.toFixed(1)} %`;
  if (!chosen.top1) return "not published";
  return resolution === chosen.resolution
    ? `${chosen.top1.percent.toFixed(1)} %`
    : `${chosen.top1.percent.toFixed(1)} % at ${chosen.resolution} px`;
}

function row(name, value, share, change) {
  return [
    make("dt", {}, term(name)),
    make(
      "dd",
      {},
      change ? make("span", { className: "change" }, `${change} `) : null,
      make("b", {}, value),
    ),
    share === null
      ? make("dd", { className: "none" })
      : make("dd", { className: "part" }, bar(share)),
  ];
}
