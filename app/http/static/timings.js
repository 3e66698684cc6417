/**
 * Milliseconds of inference on this device: what answers to this page took, else what the service
 * measured (GET /models/frontier).
 */

import { getJson } from "./api.js";

const KEPT = 50;
const answered = new Map(); // "model@resolution" -> the latest times
export const changes = new EventTarget();
let variants = [];

const nameOf = (model, resolution) => `${model}@${resolution}`;

/** Every model at each resolution that it is offered at, with cost, accuracy and standing. */
export const offered = () => variants;

/** One of them, or undefined. */
export const find = (model, resolution) =>
  variants.find((one) => one.model === model && one.resolution === resolution);

/** Ask the service again what it knows. */
export async function refresh() {
  ({ variants } = await getJson("models/frontier"));
  changes.dispatchEvent(new Event("change"));
}

/** Remember what an answer took. */
export function note(model, resolution, inferenceMs) {
  const name = nameOf(model, resolution);
  answered.set(name, [...(answered.get(name) ?? []), inferenceMs].slice(-KEPT));
  changes.dispatchEvent(new Event("change"));
}

/** The median for a model at a resolution, or null where it has never run. */
export function median(model, resolution) {
  const times = answered.get(nameOf(model, resolution));
  if (!times) return find(model, resolution)?.inference_ms ?? null;
  return [...times].sort((a, b) => a - b)[times.length >> 1];
}
