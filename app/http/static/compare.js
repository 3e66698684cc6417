/** A second model that answers for the same images. */

import { errorText, headline, shown } from "./answers.js";
import { predict } from "./api.js";
import * as choice from "./choice.js";
import { byId, make } from "./dom.js";
import * as history from "./history.js";
import { why } from "./why.js";

export function install(models) {
  byId("compare").append(...models.map(({ name }) => make("option", { value: name }, name)));
  byId("compare").addEventListener("change", () => choice.changes.dispatchEvent(new Event("ask")));
}

/** Its answer in words and as elements, or null if no model is compared. */
export async function answer(image, name) {
  const model = byId("compare").value;
  if (!model) return null;
  try {
    const found = await predict(image, { model });
    const [result] = found.results;
    history.note(name, found, result);
    const parts = [...shown(found, result), why(image, found)];
    return { said: `; ${model}: ${headline(result)}`, parts };
  } catch (error) {
    return { said: "", parts: [errorText(error)] };
  }
}

/** Answers side by side. */
export const columns = (...answers) =>
  make("div", { className: "pair" }, ...answers.map((parts) => make("div", {}, ...parts)));
