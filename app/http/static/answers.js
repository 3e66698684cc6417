/** Answers to images: ranked labels, times, errors. */

import { bar, make } from "./dom.js";
import { ms, percent } from "./format.js";

const STAGES = [
  ["queue_ms", "queue"],
  ["decode_ms", "decode"],
  ["inference_ms", "inference"],
];

/** The labels of a result, with bars. */
export const labels = ({ predictions }) =>
  make(
    "ol",
    { className: "labels" },
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

/** Elements for an answer: labels as bars, then the times. */
export function shown(answer, result) {
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
  return [labels(result), strip, times, by];
}

export const errorText = (error) =>
  make(
    "p",
    { className: "error", role: "alert" },
    make("b", {}, error.title ?? "Error"),
    ` ${error.message}`,
  );
