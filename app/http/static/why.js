/** Where an image speaks for its class, on request. */

import { errorText } from "./answers.js";
import { predict } from "./api.js";
import { button, make } from "./dom.js";

/** A button that is replaced by the map of the class, drawn over what the model saw. */
export function why(image, { model, resolution }) {
  const place = make("div", { className: "why" });
  const asked = { model, resolution, top_k: 1, explain: "cam", overlay: true };
  const show = async ({ currentTarget }) => {
    currentTarget.disabled = true;
    try {
      const [{ explanation }] = (await predict(image, asked)).results;
      place.replaceChildren(await map(explanation));
    } catch (error) {
      place.replaceChildren(errorText(error));
    }
  };
  place.append(button("Why?", { className: "link" }, show));
  return place;
}

async function map({ label, overlay, unavailable }) {
  if (unavailable) return make("p", { className: "hint" }, unavailable);
  const [, encoded] = overlay.split(",");
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  const said = `Yellow is where the image speaks for ${label}`;
  const drawn = make("img", { src: url, alt: said });
  await drawn.decode();
  URL.revokeObjectURL(url);
  return make("figure", {}, drawn, make("figcaption", {}, said));
}
