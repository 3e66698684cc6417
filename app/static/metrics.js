/** Reading the text format of Prometheus, as far as this page needs it. */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/**
 * @param {string} text
 * @returns {{name: string, labels: Object<string, string>, value: number}[]}
 */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = LINE.exec(line);
    if (!found) continue; // a comment
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]));
    samples.push({ name: found[1], labels, value: Number(found[3].replace("Inf", "Infinity")) });
  }
  return samples;
}

/** Sum of the samples of a name whose labels match. */
export const sum = (samples, name, wanted = () => true) =>
  samples.filter((sample) => sample.name === name && wanted(sample.labels)).reduce((all, { value }) => all + value, 0);

/** Mean milliseconds of inference by model, since the service started. */
export function meanMs(samples) {
  const total = new Map(samples.filter(({ name }) => name === "gateway_inference_seconds_sum").map(({ labels, value }) => [labels.model, value]));
  const means = new Map();
  for (const { name, labels, value } of samples) {
    if (name === "gateway_inference_seconds_count" && value > 0) means.set(labels.model, (total.get(labels.model) / value) * 1000);
  }
  return means;
}
