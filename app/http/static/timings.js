/**
 * Milliseconds of inference on this device: at rest, measured by this page or by the service (GET
 * /models/frontier), or else of the answers to this page, which may have waited for others.
 */

import { getJson } from "./api.js";

const KEPT = 50;
const answered = new Map(); // "model@resolution" -> the latest times
const measured = new Map(); // the same -> median of times at rest
export const changes = new EventTarget();
let variants = [];

const nameOf = (model, resolution) => `${model}@${resolution}`;

/** Every variant with its cost, accuracy and place on the frontier. */
export const offered = () => variants;

/** One variant, or undefined. */
export const find = (model, resolution) =>
  variants.find((one) => one.model === model && one.resolution === resolution);

/** Fetch the service's figures again. */
export async function refresh() {
  ({ variants } = await getJson("models/frontier"));
  changes.dispatchEvent(new Event("change"));
}

/** Record the inference time of an answer. */
export function note(model, resolution, inferenceMs) {
  const name = nameOf(model, resolution);
  answered.set(name, [...(answered.get(name) ?? []), inferenceMs].slice(-KEPT));
  changes.dispatchEvent(new Event("change"));
}

/** Record times that were measured one at a time. */
export function measure(model, resolution, times) {
  measured.set(nameOf(model, resolution), middle(times));
  changes.dispatchEvent(new Event("change"));
}

/** The median at rest for a model at a resolution, or null: all figures of a plot are alike. */
export const atRest = (model, resolution) =>
  measured.get(nameOf(model, resolution)) ?? find(model, resolution)?.idle_ms ?? null;

/** The median at rest or else of the answers, or null if it never ran. */
export const median = (model, resolution) =>
  atRest(model, resolution) ?? middle(answered.get(nameOf(model, resolution)) ?? []);

const middle = (times) => [...times].sort((a, b) => a - b)[times.length >> 1] ?? null;
