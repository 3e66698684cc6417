/** The last events of all cameras, the newest first. */

import { byId, make } from "./dom.js";
import { percent } from "./format.js";
import { clock, lasting } from "./times.js";

const SHOWN = 100;

/** @param {{camera: string, label: string, state: string, probability: number, started_at: string, ended_at: ?string}} event */
export function add(event) {
  byId("no-events").hidden = true;
  byId("events-scroll").hidden = false;
  const list = byId("events");
  const made = row(event);
  const older = [...list.children].find((one) => timeOf(one) <= timeOf(made)) ?? null;
  list.insertBefore(made, older);
  while (list.childElementCount > SHOWN) list.lastElementChild.remove();
}

const timeOf = (one) => one.querySelector("time").dateTime;

function row({ camera, label, state, probability, started_at: began, ended_at: ended }) {
  const at = ended ?? began;
  const what = ended
    ? `ended after ${lasting(Date.parse(ended) - Date.parse(began))}`
    : `started, ${percent(probability)}`;
  return make(
    "li",
    { className: state },
    make("b", { className: "label" }, label),
    make("time", { dateTime: at }, clock(at)),
    make("span", { className: "camera-name" }, camera),
    make("span", {}, what),
  );
}
