/** The choice of the head: one that exists, or a new one. */

import { errorText } from "./answers.js";
import { getJson } from "./api.js";
import { byId, make } from "./dom.js";
import * as lesson from "./lesson.js";

const NEW = ""; // no head has this name
let asksNew = false; // the form for a new head is shown

export async function install() {
  byId("head").addEventListener("change", () => attempt(chosen));
  byId("new-head").addEventListener("submit", (event) => {
    event.preventDefault();
    begin(byId("head-name").value);
  });
  byId("head-delete").addEventListener("click", () => attempt(remove));
  lesson.changes.addEventListener("list", drawList);
  lesson.changes.addEventListener("change", draw);
  await lesson.refreshList();
  const { models } = await getJson("models");
  const known = new Set(lesson.list().map(({ name }) => name));
  byId("head-base").replaceChildren(
    make("option", { value: "" }, "the default model"),
    ...models
      .filter(({ name }) => !known.has(name))
      .map(({ name }) => make("option", { value: name }, name)),
  );
  const wanted = decodeURIComponent(location.hash.slice(1));
  const first = known.has(wanted) ? wanted : lesson.list()[0]?.name;
  if (first) await lesson.choose(first);
  else draw();
}

function begin(name) {
  if (lesson.list().some((one) => one.name === name)) attempt(() => lesson.choose(name));
  else lesson.begin(name, byId("head-base").value || null);
  asksNew = false;
  draw();
  byId("class-name").focus();
}

async function chosen() {
  const name = byId("head").value;
  asksNew = name === NEW;
  if (asksNew) draw();
  else await lesson.choose(name);
  if (asksNew) byId("head-name").focus();
}

async function remove() {
  const { name } = lesson.current();
  if (!confirm(`Delete the head ${name} with all its photos?`)) return;
  await lesson.remove();
  const [next] = lesson.list();
  if (next) await lesson.choose(next.name);
}

async function attempt(work) {
  byId("head-error").replaceChildren();
  try {
    await work();
  } catch (error) {
    byId("head-error").replaceChildren(errorText(error));
  }
}

function drawList() {
  const head = lesson.current();
  const names = lesson.list().map(({ name }) => name);
  if (head && !names.includes(head.name)) names.push(head.name);
  byId("head").replaceChildren(
    ...names.map((name) => make("option", { value: name }, name)),
    make("option", { value: NEW }, "New head …"),
  );
  draw();
}

function draw() {
  const head = lesson.current();
  const isNew = asksNew || !head;
  const select = byId("head");
  if (head && ![...select.options].some(({ value }) => value === head.name)) {
    drawList();
    return;
  }
  select.value = isNew ? NEW : head.name;
  byId("head-field").hidden = select.options.length < 2;
  byId("new-head").hidden = !isNew;
  byId("head-delete").hidden = isNew;
  byId("lesson").hidden = isNew;
  byId("head-about").textContent = !isNew && head.base ? `On ${head.base}.` : "";
  if (head) history.replaceState(null, "", `#${encodeURIComponent(head.name)}`);
}
