/** Terms that explain themselves when they are clicked; the documents have the explanations. */

import { make } from "./dom.js";

const TERMS = {
  "Multiply-adds": "term-madds",
  Inference: "term-inference",
  Activations: "term-activations",
  Parameters: "term-parameters",
  "Top-1": "term-top1",
};

/** A button that opens the explanation, or only the name if there is none. */
export const term = (name) =>
  name in TERMS
    ? make("button", { type: "button", className: "link term-of", popovertarget: TERMS[name] }, name)
    : name;
