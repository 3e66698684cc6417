/** Live figures: differences between successive reads of the metrics. */

import { getText } from "./api.js";
import { byId, make } from "./dom.js";
import { bytes, digits, ms } from "./format.js";
import { parse, sum } from "./metrics.js";
import { timeline } from "./plots.js";
import { state } from "./reachable.js";

const EVERY_MS = 2000;
const KEPT = 90; // samples: three minutes
const STAGES = ["queue", "decode", "inference"];
const readings = []; // {at, rate, queue, decode, inference, waiting}
let before = null;
let seen = false;
let plots = null;

/** Read the metrics once as a baseline, then continue while the section is in view. */
export async function install() {
  new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting; // the latest: a busy browser reports several at once
  }).observe(byId("live"));
  await read();
  for (;;) {
    await new Promise((resume) => setTimeout(resume, EVERY_MS));
    if (seen && !document.hidden) await read();
  }
}

async function read() {
  let samples;
  try {
    samples = parse(await getText("metrics"));
  } catch (error) {
    if (error.status) state(false, error.title); // else it is not reachable
    if (error.status === 401) seen = false; // prompt for no key until the section comes into view again
    return;
  }
  state(true);
  const now = totals(samples);
  // After a pause or a restart there is no baseline.
  const gap =
    before === null || now.images < before.images || now.at - before.at > (3 * EVERY_MS) / 1000;
  const found = gap ? { ...emptyReading, at: now.at } : difference(now, before);
  before = now;
  readings.push({ ...found, waiting: now.waiting });
  readings.splice(0, readings.length - KEPT);
  figures(now, found);
  draw();
}

const emptyReading = {
  rate: null,
  errors: null,
  cores: null,
  queue: null,
  decode: null,
  inference: null,
};

function totals(samples) {
  const stage = (name) => sum(samples, `gateway_${name}_seconds_sum`);
  return {
    at: Date.now() / 1000,
    images: sum(samples, "gateway_images_total", ({ outcome }) => outcome === "ok"),
    errors: sum(samples, "gateway_requests_total", ({ status }) => status >= "400"),
    cpu: sum(samples, "process_cpu_seconds_total"),
    memory: sum(samples, "process_resident_memory_bytes"),
    waiting: sum(samples, "gateway_queue_images"),
    ...Object.fromEntries(STAGES.map((name) => [name, stage(name)])),
  };
}

function difference(now, then) {
  const seconds = now.at - then.at;
  const images = now.images - then.images;
  const mean = (name) => (images ? ((now[name] - then[name]) / images) * 1000 : null);
  return {
    at: now.at,
    rate: images / seconds,
    errors: (now.errors - then.errors) / seconds,
    cores: (now.cpu - then.cpu) / seconds,
    ...Object.fromEntries(STAGES.map((name) => [name, mean(name)])),
  };
}

function figures(now, found) {
  const known = (value, text) => (value === null ? "–" : text(value));
  const total = found.queue === null ? null : STAGES.reduce((all, name) => all + found[name], 0);
  const shown = [
    ["Images per second", known(found.rate, digits)],
    ["Time per image", known(total, ms)],
    ["In the queue", digits(now.waiting)],
    ["Errors per second", known(found.errors, digits)],
    ["Cores in use", known(found.cores, digits)],
    ["Memory", now.memory ? bytes(now.memory) : "–"],
    ["Images so far", String(now.images)],
  ];
  byId("live-figures").replaceChildren(
    ...shown.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
}

function draw() {
  plots ??= [
    timeline("plot-rate", ["accent"]),
    timeline("plot-times", STAGES),
    timeline("plot-queue", ["queue"]),
  ];
  const line = (name) => readings.map((one) => one[name]);
  const times = line("at");
  plots[0](times, line("rate"));
  plots[1](times, ...STAGES.map(line));
  plots[2](times, line("waiting"));
}
