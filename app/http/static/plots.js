/** Plots with uPlot, in the colours of the page and the size of their containers. */

import { byId } from "./dom.js";
import { place } from "./spots.js";

const { uPlot } = window;
const LABEL_FONT = "11px system-ui, sans-serif";
const NEAR_PX = 30;
const WINDOW_S = 180; // shown by the plots over time

/** A colour of the current scheme, light or dark. */
const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const axis = (more) => ({
  stroke: () => colour("muted"),
  font: LABEL_FONT,
  grid: { stroke: () => colour("line"), width: 1 },
  ticks: { show: false },
  ...more,
});

/** Create a plot that follows the width of its container and the colour scheme. */
function create(options, data, id) {
  const at = byId(id);
  const size = () => ({ width: Math.max(200, at.clientWidth), height: at.clientHeight });
  const plot = new uPlot({ ...size(), legend: { show: false }, ...options }, data, at);
  new ResizeObserver(() => {
    const { width, height } = size();
    if (width !== plot.width || height !== plot.height) plot.setSize({ width, height });
  }).observe(at);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    plot.redraw(true, true),
  );
  return plot;
}

/**
 * Points over a logarithmic axis, some of them joined as the frontier.
 * @param {string} id
 * @param {(value: number) => string} format of the x axis
 * @param {(point: object) => void} onChoose
 * @returns {(points: {x: number, y: number, label: string, best: boolean, chosen: boolean}[]) => void}
 */
export function scatter(id, format, onChoose) {
  let points = [];
  let plot = null;
  const range = (_, low, high) => [low / 1.5, high * 1.7];
  const options = {
    scales: {
      x: { time: false, distr: 3, range },
      y: {
        range: (_, low, high) => [Math.floor(low / 5 - 0.6) * 5, Math.ceil(high / 5 + 0.6) * 5],
      },
    },
    axes: [
      axis({
        splits: roundNumbers,
        filter: (_, splits) => splits,
        values: (_, splits) => splits.map((value) => format(value).replace(/\.0+(?= )/, "")),
        size: 30,
        space: 30,
      }),
      axis({ values: (_, splits) => splits.map((value) => `${value} %`), size: 46, space: 30 }),
    ],
    series: [
      {},
      { stroke: () => colour("muted"), paths: () => null, points: dots(6, () => colour("page")) },
      {
        stroke: () => colour("accent"),
        width: 2,
        spanGaps: true,
        points: dots(8, () => colour("accent")),
      },
      {
        stroke: () => colour("chosen"),
        paths: () => null,
        points: { ...dots(16, () => "transparent"), width: 2 },
      },
    ],
    cursor: { x: false, y: false, points: { show: false }, drag: { x: false, y: false } },
    hooks: {
      draw: [(u) => drawLabels(u, points)],
      ready: [
        (u) => {
          u.over.addEventListener("click", () => {
            const found = nearest(u, points);
            if (found) onChoose(found);
          });
          u.over.addEventListener("mousemove", () => {
            const found = nearest(u, points);
            u.over.title = found
              ? `${found.name}: ${found.y.toFixed(1)} %, ${format(found.x)}`
              : "";
            u.over.classList.toggle("clickable", Boolean(found));
          });
        },
      ],
    },
  };
  return (found) => {
    points = [...found].sort((a, b) => a.x - b.x);
    byId(id).classList.toggle("empty", points.length === 0);
    const data = [
      points.map(({ x }) => x),
      points.map(({ y, best }) => (best ? null : y)),
      points.map(({ y, best }) => (best ? y : null)),
      points.map(({ y, chosen }) => (chosen ? y : null)),
    ];
    if (plot) plot.setData(data);
    else if (points.length) plot = create(options, data, id);
  };
}

/** 1, 2, 5, 10, 20, 50 and so on, or fewer over a wide range. */
function roundNumbers(_, __, low, high) {
  const steps = high / low > 300 ? [1] : high / low > 20 ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    found.push(...steps.map((step) => step * 10 ** power));
  }
  return found.filter((value) => value >= low && value <= high);
}

const dots = (size, fill) => ({ show: true, size, width: 1.5, fill });

function nearest(u, points) {
  const far = ({ x, y }) =>
    Math.hypot(u.valToPos(x, "x") - u.cursor.left, u.valToPos(y, "y") - u.cursor.top);
  const [found] = [...points].sort((a, b) => far(a) - far(b));
  return found && far(found) < NEAR_PX ? found : null;
}

/** Draw names next to the points, chosen and best first. */
function drawLabels(u, points) {
  const { ctx } = u;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.font = LABEL_FONT.replace("11", String(11 * scale));
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const half = 5 * scale;
  const at = ({ x, y }) => [u.valToPos(x, "x", true), u.valToPos(y, "y", true)];
  const boxes = points.map(at).map(([x, y]) => ({
    left: x - half,
    right: x + half,
    top: y - half,
    bottom: y + half,
  }));
  const { left, top, width, height } = u.bbox;
  const frame = { left, right: left + width, top, bottom: top + height };
  const named = points
    .filter(({ best, chosen }) => best || chosen) // hovering shows the others
    .sort((a, b) => b.chosen - a.chosen || b.y - a.y);
  const wanted = named.map((point) => ({
    box: boxes[points.indexOf(point)],
    width: ctx.measureText(point.label).width,
    height: 13 * scale,
  }));
  const line = points.filter(({ best }) => best).map(at);
  for (const [index, spot] of place(wanted, boxes, line, frame, 9 * scale).entries()) {
    if (!spot) continue;
    ctx.fillStyle = colour(named[index].chosen ? "ink" : "accent");
    ctx.fillText(named[index].label, spot.left, (spot.top + spot.bottom) / 2);
  }
  ctx.restore();
}

/**
 * Lines over time.
 * @param {string} id
 * @param {string[]} colours one per line
 * @returns {(times: number[], ...lines: (number|null)[][]) => void}
 */
export function timeline(id, colours) {
  let plot = null;
  const options = {
    scales: {
      x: { range: (_, __, last) => [last - WINDOW_S, last] },
      y: { range: (_, low, high) => [0, Math.max(high * 1.1, 4)] },
    },
    axes: [
      axis({ size: 28, space: 70, values: (_, splits) => splits.map(clock) }),
      axis({ size: 42, space: 26 }),
    ],
    series: [
      {},
      ...colours.map((name) => ({
        stroke: () => colour(name),
        width: 2,
        points: { size: 5, fill: () => colour(name) },
      })),
    ],
    cursor: { show: false },
  };
  return (times, ...lines) => {
    if (plot) plot.setData([times, ...lines]);
    else plot = create(options, [times, ...lines], id);
  };
}

const clock = (seconds) => new Date(seconds * 1000).toTimeString().slice(0, 8);
