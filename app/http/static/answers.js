/** Answers to images: ranked labels, times, errors. */

import { bar, make } from "./dom.js";
import { ms, percent } from "./format.js";

const STAGES = [
  ["queue_ms", "queue"],
  ["decode_ms", "decode"],
  ["inference_ms", "inference"],
];

const SMALL = 0.01; // less likely labels are folded away

/** The labels of a result, with bars. */
export const labels = ({ predictions }, start = 1) =>
  make(
    "ol",
    { className: "labels", start },
    ...predictions.map((one) =>
      make(
        "li",
        {},
        make("span", { className: "label" }, one.label),
        make("span", { className: "share" }, percent(one.probability)),
        bar(one.probability),
      ),
    ),
  );

/** The labels of a result; those under 1 % unfold on request. */
export function folded({ predictions }) {
  const isShown = (one, rank) => rank === 0 || one.probability >= SMALL;
  const likely = predictions.filter(isShown);
  const others = predictions.slice(likely.length);
  const main = labels({ predictions: likely });
  if (!others.length) return [main];
  const summary = make("summary", {}, `${others.length} more under 1\u00a0%`);
  const rest = labels({ predictions: others }, likely.length + 1);
  return [main, make("details", { className: "more" }, summary, rest)];
}

/** The most likely label of a result, in words. */
export const headline = ({ predictions: [first] }) =>
  `${first.label}, ${percent(first.probability)}`;

/** Elements for an answer: its times and its model, below the labels. */
export function shown(answer, result, ranked = folded(result)) {
  const total = STAGES.reduce((sum, [field]) => sum + result[field], 0);
  const strip = make(
    "div",
    { className: "strip", "aria-hidden": "true" },
    ...STAGES.map(([field, name]) => {
      const part = make("span", { className: name });
      part.style.flexGrow = result[field] / total;
      return part;
    }),
  );
  const times = make(
    "p",
    { className: "times" },
    ...STAGES.map(([field, name]) =>
      make("span", { className: `key ${name}` }, `${name} ${ms(result[field])}`),
    ),
  );
  const why = answer.choice ? `: ${answer.choice.reason}` : "";
  const by = make("p", { className: "hint" }, `${answer.model} at ${answer.resolution} px${why}`);
  return [...ranked, strip, times, by];
}

export const errorText = (error) =>
  make(
    "p",
    { className: "error", role: "alert" },
    make("b", {}, error.title ?? "Error"),
    ` ${error.message}`,
  );
