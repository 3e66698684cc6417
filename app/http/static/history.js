/** The answers since the page was opened, as a table and as CSV. Nothing is stored. */

import { byId, make } from "./dom.js";
import { download } from "./download.js";
import { digits, percent } from "./format.js";
import { reduced } from "./reduced.js";

const KEPT = 1000;
const SHOWN = 20; // only these keep their image
const PIXELS = 64;
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
  byId("history").addEventListener("toggle", draw);
}

/** Record an answer for an image. @param {File} file */
export function note(file, { model, resolution }, result) {
  const [{ label, probability }] = result.predictions;
  const time = new Date().toISOString();
  const row = { ...result, time, image: file.name, model, resolution, label, probability };
  rows = [{ ...row, file }, ...rows].slice(0, KEPT);
  if (rows.length > SHOWN) release(rows[SHOWN]);
  byId("history").hidden = false;
  byId("history-count").textContent = rows.length;
  draw();
}

/** Fill the table while it is unfolded. */
function draw() {
  if (!byId("history").open) return;
  const shown = rows.slice(0, SHOWN);
  for (const row of shown) row.line ??= line(row);
  byId("history-rows").replaceChildren(...shown.map((row) => row.line));
}

function line(row) {
  const { time, image, model, resolution, label, probability, inference_ms: ms } = row;
  const texts = [
    new Date(time).toLocaleTimeString(),
    image,
    label,
    percent(probability),
    `${model} at ${resolution} px`,
    digits(ms),
  ];
  return make("tr", {}, make("td", {}, small(row)), ...texts.map((text) => make("td", {}, text)));
}

function small(row) {
  const shown = make("img", { alt: "", className: "mini" });
  row.address = reduced(row.file, PIXELS).catch(() => ""); // TIFF or HEIC
  row.address.then((address) => {
    if (address) shown.src = address;
  });
  return shown;
}

function release(row) {
  row.address?.then(URL.revokeObjectURL);
  for (const name of ["file", "line", "address"]) delete row[name];
}

const csv = () =>
  [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => row[name]))]
    .map((cells) => `${cells.map(cell).join(",")}\r\n`)
    .join("");

/** A spreadsheet would run a text that starts like a formula. */
function cell(value) {
  const text = typeof value === "string" ? value.replace(/^\s*[=+\-@\t\r＝＋－＠]/, "'$&") : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
