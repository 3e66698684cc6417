/**
 * Milliseconds of inference on this device: from the answers to this page, or else the service's
 * own measurements (GET /models/frontier).
 */

import { getJson } from "./api.js";

const KEPT = 50;
const answered = new Map(); // "model@resolution" -> the latest times
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

/** The median for a model at a resolution, or null if it never ran. */
export function median(model, resolution) {
  const times = answered.get(nameOf(model, resolution));
  if (!times) return find(model, resolution)?.inference_ms ?? null;
  return [...times].sort((a, b) => a - b)[times.length >> 1];
}
