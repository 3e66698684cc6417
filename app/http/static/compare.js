/** A second model that answers for the same images. */

import { errorText, headline, shown } from "./answers.js";
import { predict } from "./api.js";
import * as choice from "./choice.js";
import { breakable, byId, make } from "./dom.js";
import * as history from "./history.js";
import { why } from "./why.js";

export function install(models) {
  byId("compare-field").hidden = models.length < 2;
  byId("compare").append(...models.map(({ name }) => make("option", { value: name }, name)));
  byId("compare").addEventListener("change", () => choice.changes.dispatchEvent(new Event("ask")));
}

/** Its answer in words and as elements, or null if no model is compared. */
export async function answer(image) {
  const model = byId("compare").value;
  if (!model) return null;
  try {
    const found = await predict(image, { model });
    const [result] = found.results;
    history.note(image, found, result);
    const parts = [...shown(found, result), why(image, found)];
    return { model, said: `; ${model}: ${headline(result)}`, parts };
  } catch (error) {
    return { model, said: "", parts: [errorText(error)] };
  }
}

/** Answers side by side, below the names of their models. */
export const columns = (...answers) =>
  make(
    "div",
    { className: "pair" },
    ...answers.map(({ model, parts }) => make("div", {}, make("h3", {}, ...breakable(model)), ...parts)),
  );
