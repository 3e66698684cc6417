/** The answers since the page was opened, as a table and as CSV. Nothing is stored. */

import { byId, make } from "./dom.js";
import { download } from "./download.js";
import { digits, percent } from "./format.js";

const KEPT = 1000;
const SHOWN = 20;
const COLUMNS = [
  "time",
  "image",
  "model",
  "resolution",
  "label",
  "probability",
  "queue_ms",
  "decode_ms",
  "inference_ms",
];
let rows = []; // the newest first

export function install() {
  byId("history-download").addEventListener("click", () =>
    download(new Blob([csv()], { type: "text/csv" }), "answers.csv"),
  );
}

/** Record an answer for an image. */
export function note(image, { model, resolution }, result) {
  const [{ label, probability }] = result.predictions;
  const time = new Date().toISOString();
  rows = [{ ...result, time, image, model, resolution, label, probability }, ...rows].slice(0, KEPT);
  byId("history").hidden = false;
  byId("history-count").textContent = rows.length;
  byId("history-rows").replaceChildren(...rows.slice(0, SHOWN).map(line));
}

function line({ time, image, model, resolution, label, probability, inference_ms: ms }) {
  const texts = [
    new Date(time).toLocaleTimeString(),
    image,
    label,
    percent(probability),
    `${model} at ${resolution} px`,
    digits(ms),
  ];
  return make("tr", {}, ...texts.map((text) => make("td", {}, text)));
}

const csv = () =>
  [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => row[name]))]
    .map((cells) => `${cells.map(cell).join(",")}\r\n`)
    .join("");

/** A spreadsheet would run a text that starts like a formula. */
function cell(value) {
  const text = typeof value === "string" ? value.replace(/^[=+\-@\t\r]/, "'$&") : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
