/** Live figures: the difference between one look at the metrics and the next. */

import { getText } from "./api.js";
import { byId, make } from "./dom.js";
import { bytes, digits, ms } from "./format.js";
import { parse, sum } from "./metrics.js";
import { timeline } from "./plots.js";

const EVERY_MS = 2000;
const KEPT = 90; // looks: three minutes
const STAGES = ["queue", "decode", "inference"];
const looks = []; // {at, rate, queue, decode, inference, waiting}
let before = null;
let seen = false;
let plots = null;

/** Look once, to have something to compare with, and go on while the section is in view. */
export async function install() {
  new IntersectionObserver(([entry]) => {
    seen = entry.isIntersecting;
  }).observe(byId("live"));
  await look();
  for (;;) {
    await new Promise((resume) => setTimeout(resume, EVERY_MS));
    if (seen && !document.hidden) await look();
  }
}

async function look() {
  let samples;
  try {
    samples = parse(await getText("metrics"));
  } catch (error) {
    state(false, error.title);
    return;
  }
  state(true);
  const now = totals(samples);
  // Right after a pause or a restart there is nothing to compare with.
  const gap =
    before === null || now.images < before.images || now.at - before.at > (3 * EVERY_MS) / 1000;
  const found = gap ? { ...blankLook, at: now.at } : difference(now, before);
  before = now;
  looks.push({ ...found, waiting: now.waiting });
  looks.splice(0, looks.length - KEPT);
  figures(now, found);
  draw();
}

const blankLook = {
  rate: null,
  refused: null,
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
    refused: sum(samples, "gateway_requests_total", ({ status }) => status >= "400"),
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
    refused: (now.refused - then.refused) / seconds,
    cores: (now.cpu - then.cpu) / seconds,
    ...Object.fromEntries(STAGES.map((name) => [name, mean(name)])),
  };
}

function figures(now, found) {
  const known = (value, text) => (value === null ? "–" : text(value));
  const total = found.queue === null ? null : STAGES.reduce((all, name) => all + found[name], 0);
  const shown = [
    ["Images a second", known(found.rate, digits)],
    ["An image takes", known(total, ms)],
    ["Wait now", digits(now.waiting)],
    ["Errors a second", known(found.refused, digits)],
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
  const line = (name) => looks.map((one) => one[name]);
  const times = line("at");
  plots[0](times, line("rate"));
  plots[1](times, ...STAGES.map(line));
  plots[2](times, line("waiting"));
}

/** What the top of the page says of the service. */
export function state(fine, text = "ready") {
  const shown = byId("state");
  if (shown.textContent !== text) shown.textContent = text;
  shown.className = fine ? "fine" : "bad";
}
