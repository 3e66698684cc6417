/** Parses the part of Prometheus' text format that this page needs. */

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
    const labels = Object.fromEntries(
      [...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]),
    );
    samples.push({ name: found[1], labels, value: Number(found[3].replace("Inf", "Infinity")) });
  }
  return samples;
}

/** Sum of the samples with this name and matching labels. */
export const sum = (samples, name, wanted = () => true) =>
  samples
    .filter((sample) => sample.name === name && wanted(sample.labels))
    .reduce((all, { value }) => all + value, 0);
