/** The cost of each layer of the chosen model, from the first to the last. */

import * as choice from "./choice.js";
import { byId, make } from "./dom.js";
import { bytes, count, percent } from "./format.js";
import { term } from "./terms.js";

const params = (layer) => layer.weights + layer.biases + layer.batch_norm_params;
const MEASURES = [
  ["Multiply-adds", (layer) => layer.madds, count],
  ["Parameters", params, count],
  ["Activations", (layer) => layer.activation_bytes, bytes],
];
const KINDS = {
  conv: "convolution",
  depthwise: "depthwise",
  pointwise: "pointwise",
  linear: "classifier",
};
let shown = null;

export function install() {
  choice.changes.addEventListener("change", draw);
  draw();
}

function draw() {
  const table = choice.chosenTable();
  if (table === shown) return;
  shown = table;
  if (!table) {
    byId("layers-lead").textContent =
      "The cost of each layer is known at the trained resolution only.";
    byId("layer-chart").replaceChildren();
    return;
  }
  byId("layers-lead").textContent = lead(table);
  byId("layer-chart").replaceChildren(...chart(table.layers));
}

function lead({ model, resolution, madds: all, layers }) {
  const shares = Object.entries(KINDS)
    .map(([kind, word]) => [word, share(layers, kind, all)])
    .filter(([, part]) => part > 0)
    .sort((a, b) => b[1] - a[1]);
  const said = shares.map(([word, part]) => `${word} ${percent(part)}`).join(", ");
  return `${model} at ${resolution} px, ${layers.length} layers. Multiply-adds: ${said}.`;
}

const share = (layers, kind, all) =>
  layers.filter((layer) => layer.kind === kind).reduce((sum, layer) => sum + layer.madds, 0) / all;

/** Three rows of columns, one column per layer; the slider below selects a layer. */
function chart(layers) {
  const readout = make("p", { className: "readout", id: "layer-readout", role: "status" });
  const rows = MEASURES.map(([name, value, text]) => columns(name, value, text, layers));
  const slider = make("input", {
    type: "range",
    id: "layer",
    min: 0,
    max: layers.length - 1,
    value: 0,
  });
  const label = make("label", { htmlFor: "layer" }, "Layer");
  const pick = (index) => {
    slider.value = index;
    for (const { marks } of rows)
      marks.forEach((mark, at) => mark.classList.toggle("picked", at === index));
    slider.setAttribute("aria-valuetext", layers[index].name);
    readout.replaceChildren(...described(layers[index]));
  };
  slider.addEventListener("input", () => pick(Number(slider.value)));
  for (const { marks } of rows) {
    marks.forEach((mark, index) => {
      mark.addEventListener("pointerdown", () => pick(index));
      mark.addEventListener("pointermove", (event) => {
        if (event.movementX || event.movementY) pick(index); // ignore scrolling under a resting mouse
      });
    });
  }
  const heaviest = layers.reduce(
    (best, layer, index) => (layer.madds > layers[best].madds ? index : best),
    0,
  );
  pick(heaviest);
  const known = new Set(layers.map(kindOf));
  const legend = make(
    "p",
    { className: "legend" },
    ...[...known].map((kind) => make("span", { className: `key ${kind}` }, KINDS[kind] ?? "other")),
  );
  return [
    legend,
    ...rows.map(({ row }) => row),
    make("p", { className: "field walk" }, label, slider),
    readout,
    details(layers),
  ];
}

const kindOf = ({ kind }) => (kind in KINDS ? kind : "other");

function columns(name, value, text, layers) {
  const most = Math.max(...layers.map(value));
  const marks = layers.map((layer) => {
    const fill = make("span", { className: `fill ${kindOf(layer)}` });
    fill.style.height = `${(value(layer) / most) * 100}%`;
    return make("span", { className: "column" }, fill);
  });
  const chart = make(
    "div",
    {
      className: "columns-chart",
      role: "img",
      "aria-label": `${name} of each layer, up to ${text(most)}; the table below lists all figures`,
    },
    ...marks,
  );
  const row = make(
    "div",
    { className: "layer-row" },
    make("p", {}, make("b", {}, term(name)), ` up to ${text(most)}`),
    chart,
  );
  return { row, marks };
}

const shape = (sides) => sides.join(" × ");

function described(layer) {
  const how =
    layer.kernel[0] > 1 || layer.stride > 1
      ? `, ${shape(layer.kernel)}${layer.stride > 1 ? ` stride ${layer.stride}` : ""}`
      : "";
  return [
    make("b", {}, layer.name),
    ` ${KINDS[layer.kind] ?? layer.kind.replaceAll("_", " ")}${how}: ${shape(layer.input_shape)} → ${shape(layer.output_shape)}; `,
    MEASURES.map(([name, value, text]) => `${text(value(layer))} ${name.toLowerCase()}`).join(", "),
  ];
}

function details(layers) {
  const heading = (name, numeric) =>
    make("th", { scope: "col", className: numeric ? "number" : "" }, name);
  const head = make(
    "tr",
    {},
    heading("Layer"),
    heading("Kind"),
    heading("Input"),
    heading("Output"),
    ...MEASURES.map(([name]) => heading(name, true)),
  );
  const lines = layers.map((layer) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, layer.name),
      make("td", {}, layer.kind),
      make("td", {}, shape(layer.input_shape)),
      make("td", {}, shape(layer.output_shape)),
      ...MEASURES.map(([, value, text]) => make("td", { className: "number" }, text(value(layer)))),
    ),
  );
  return make(
    "details",
    {},
    make("summary", {}, "Every layer as a table"),
    make(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Table of layers" },
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines)),
    ),
  );
}
