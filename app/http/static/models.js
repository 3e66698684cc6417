/** The models in two plots and a table, with the frontier marked. */

import { predict } from "./api.js";
import * as choice from "./choice.js";
import { anyImage } from "./classify.js";
import { announce, breakable, byId, make } from "./dom.js";
import { bytes, count, digits, ms, shortName } from "./format.js";
import { scatter } from "./plots.js";
import * as timings from "./timings.js";

const RUNS = 5; // per model when measuring; the median counts
const COLUMNS = [
  // heading, value to sort by, text, whether it is a number
  ["Model", (row) => row.name, null, false],
  ["Top-1", (row) => row.top1?.percent ?? null, (value) => `${value.toFixed(1)} %`, true],
  ["MAdds", (row) => row.madds, count, true],
  ["ms", (row) => timings.atRest(row.name, row.resolution), digits, true],
  ["Parameters", (row) => row.params, count, true],
  ["Activations", (row) => row.peak_activation_bytes, bytes, true],
  ["File", (row) => row.file_bytes, bytes, true],
  ["Beaten by", (row) => standing(row)?.beaten_by ?? null, null, false],
];
let models = [];
let order = { column: 1, down: true };
let plotMadds;
let plotMs;

export function install(found) {
  models = found;
  const choose = ({ model, resolution }) => choice.choose(model, resolution).catch(announce);
  plotMadds = scatter("plot-madds", count, choose);
  plotMs = scatter("plot-ms", ms, choose);
  byId("measure").addEventListener("click", measure);
  choice.changes.addEventListener("change", draw);
  timings.changes.addEventListener("change", draw);
  draw();
}

const standing = ({ name, resolution }) => timings.find(name, resolution);

/**
 * Points with cost x and accuracy y that no other point beats.
 * A point beats another if it is at least as good in both and better in one.
 */
function frontier(points) {
  return new Set(
    points.filter(
      (one) =>
        !points.some(
          (other) => other.x <= one.x && other.y >= one.y && (other.x < one.x || other.y > one.y),
        ),
    ),
  );
}

function draw() {
  plotMadds(pointsBy((one) => one.madds));
  plotMs(pointsBy((one) => timings.atRest(one.model, one.resolution)));
  drawTable();
}

function pointsBy(cost) {
  const chosen = choice.current();
  const points = timings
    .offered()
    .filter((one) => one.top1 !== null && cost(one) !== null)
    .map((one) => ({
      ...one,
      name: `${one.model} at ${one.resolution} px`,
      label: shortName(one.model, one.resolution),
      x: cost(one),
      y: one.top1,
      chosen: one.model === chosen.model && one.resolution === chosen.resolution,
    }));
  const best = frontier(points);
  return points.map((point) => ({ ...point, best: best.has(point) }));
}

function drawTable() {
  const focused = document.activeElement?.dataset?.focus;
  const [, value] = COLUMNS[order.column];
  const sorted = [...models].sort((a, b) => compare(value(a), value(b)) * (order.down ? -1 : 1));
  byId("model-table").replaceChildren(
    make("thead", {}, make("tr", {}, ...COLUMNS.map(heading))),
    make("tbody", {}, ...sorted.map(line)),
  );
  if (focused)
    byId("model-table")
      .querySelector(`[data-focus="${CSS.escape(focused)}"]`)
      ?.focus();
}

/** Unknown values sort last when the best come first. */
function compare(a, b) {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  return a < b ? -1 : 1;
}

function heading([name, , , numeric], column) {
  const active = order.column === column;
  const button = make(
    "button",
    { type: "button", className: "link", "data-focus": name },
    name,
    active ? (order.down ? " ↓" : " ↑") : "",
  );
  button.addEventListener("click", () => {
    order = { column, down: active ? !order.down : numeric };
    drawTable();
  });
  return make(
    "th",
    {
      scope: "col",
      className: numeric ? "number" : "",
      "aria-sort": active ? (order.down ? "descending" : "ascending") : null,
    },
    button,
  );
}

function line(row) {
  const chosen = row === choice.chosenModel();
  const button = make(
    "button",
    { type: "button", className: "link", "data-focus": row.name, "aria-pressed": String(chosen) },
    ...breakable(row.name),
  );
  button.addEventListener("click", () => choice.choose(row.name).catch(announce));
  const mark = standing(row)?.on_frontier
    ? make(
        "span",
        {
          className: "mark",
          title:
            "No loaded model is at least as good in accuracy, multiply-adds, parameters, memory and milliseconds and better in one of them",
        },
        "frontier",
      )
    : null;
  const later =
    row.state === "loaded"
      ? null
      : make(
          "span",
          { className: "mark", title: "Loaded when a request first uses it" },
          "on first use",
        );
  const cells = COLUMNS.slice(1).map(([, value, text, numeric]) => {
    const found = value(row);
    return make(
      "td",
      { className: numeric ? "number" : "" },
      found === null ? "–" : text ? text(found) : found,
    );
  });
  return make(
    "tr",
    { className: chosen ? "chosen" : "" },
    make("th", { scope: "row" }, button, mark, later),
    ...cells,
  );
}

/** Run every model a few times at its trained resolution, so that each has a time. */
async function measure() {
  const button = byId("measure");
  button.disabled = true;
  try {
    const image = anyImage() ?? (await blank());
    for (const [index, { name, resolution }] of models.entries()) {
      byId("measure-state").textContent = `${index + 1} of ${models.length}: ${name}`;
      const times = [];
      for (let run = 0; run < RUNS; run += 1) {
        const [result] = (await predict(image, { model: name, resolution })).results;
        times.push(result.inference_ms);
      }
      timings.measure(name, resolution, times);
    }
    await timings.refresh();
    byId("measure-state").textContent = `Median of ${RUNS} runs each, one at a time.`;
  } catch (error) {
    byId("measure-state").textContent = `${error.title ?? "Error"}: ${error.message}`;
  } finally {
    button.disabled = false;
  }
}

/** A blank image; inference time does not depend on the content. */
async function blank() {
  const canvas = make("canvas", { width: 256, height: 256 });
  canvas.getContext("2d");
  return new Promise((done) => canvas.toBlob(done, "image/jpeg"));
}
