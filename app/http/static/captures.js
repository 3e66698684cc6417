/** Captured images: select many, give them a class, and teach again. */

import { errorText } from "./answers.js";
import { byId } from "./dom.js";
import { bytes, percent } from "./format.js";
import { forEach } from "./at_once.js";
import { Grid } from "./grid.js";
import * as heads from "./heads.js";
import * as lesson from "./lesson.js";

const AT_A_TIME = 60;
let grid = null;
let shown = []; // newest first
let requests = 0;
let sizes = { bytes: 0, limit_bytes: 0 };

/** What can be done to selected images, by their ids. */
const owner = {
  has: (id) => shown.some((one) => one.id === id),
  move: (ids, label) => lesson.addCaptures(ids, label).finally(reload),
  remove: (ids) => forEach(ids, heads.removeCapture).finally(reload),
};

export async function install() {
  grid = new Grid("Captured images");
  grid.element.classList.add("large");
  byId("captures-grid").append(grid.element);
  byId("captures-all").addEventListener("click", () => grid.selectAll());
  byId("captures-refresh").addEventListener("click", reload);
  byId("captures-more").addEventListener("click", () => load(shown.at(-1).id));
  byId("captures-delete").addEventListener("click", async () => {
    if (!confirm("Delete all captured images, also those that are not shown?")) return;
    await attempt(heads.removeCaptures);
    await reload();
  });
  await reload();
}

const reload = () => load(null);

const load = (before) =>
  attempt(async () => {
    requests += 1;
    const mine = requests;
    const { captures, ...found } = await heads.captures(AT_A_TIME, before);
    if (mine !== requests) return; // others were asked for meanwhile
    sizes = found;
    shown = before ? [...shown, ...captures] : captures;
    byId("captures-more").hidden = captures.length < AT_A_TIME;
    draw();
  });

async function attempt(work) {
  byId("captures-error").replaceChildren();
  try {
    await work();
  } catch (error) {
    if (error.status === 404) byId("captures-state").textContent = error.message;
    else byId("captures-error").replaceChildren(errorText(error));
  }
}

function draw() {
  byId("captures-actions").hidden = !shown.length;
  byId("captures-state").textContent = shown.length
    ? `${bytes(sizes.bytes)} of at most ${bytes(sizes.limit_bytes)}.`
    : "None at the moment.";
  grid.show(shown.map(asImage));
}

function asImage({ id, created, model, reason, predictions: [best] }) {
  const guess = best ? `${best.label} ${percent(best.probability)}` : "";
  const when = new Date(created).toLocaleString();
  return {
    key: `capture ${id}`,
    id,
    owner,
    path: heads.capturePath(id),
    name: `${reason}, ${model}, ${when}`,
    title: `${reason}, ${model}, ${when}`,
    caption: guess,
  };
}
