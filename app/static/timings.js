/** Milliseconds of inference on this device, as the answers to this page and the metrics say. */

const KEPT = 50;
const answered = new Map(); // "model@resolution" -> the latest times
let means = new Map(); // model -> mean of everything since the service started
export const changes = new EventTarget();

const nameOf = (model, resolution) => `${model}@${resolution}`;

/** Remember what an answer took. */
export function note(model, resolution, inferenceMs) {
  const name = nameOf(model, resolution);
  answered.set(name, [...(answered.get(name) ?? []), inferenceMs].slice(-KEPT));
  changes.dispatchEvent(new Event("change"));
}

/** @param {Map<string, number>} found mean milliseconds by model, at whatever resolutions */
export function noteMeans(found) {
  const grown = found.size !== means.size;
  means = found;
  if (grown) changes.dispatchEvent(new Event("change"));
}

/** Median and number of this page's own answers, or null. */
export function median(model, resolution) {
  const times = answered.get(nameOf(model, resolution));
  if (!times) return null;
  const sorted = [...times].sort((a, b) => a - b);
  return { ms: sorted[sorted.length >> 1], answers: sorted.length };
}

/** The best known for a model as trained: this page's own, else the mean of all requests. */
export const typicalMs = ({ name, resolution }) =>
  median(name, resolution)?.ms ?? means.get(name) ?? null;
