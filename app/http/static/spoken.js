/** What screen readers hear of cameras, one thing after another. */

import { byId, make } from "./dom.js";

const KEPT = 5;

/** @param {string} text */
export function say(text) {
  const said = byId("said");
  said.append(make("p", {}, text));
  while (said.childElementCount > KEPT) said.firstElementChild.remove();
}
