/** The head that is being taught, with its classes and examples. */

import { forEach } from "./at_once.js";
import * as heads from "./heads.js";

/** "change": another head, or other classes or examples; "list": other heads. */
export const changes = new EventTarget();
const told = (what) => changes.dispatchEvent(new Event(what));
let head = null; // GET /heads/{name}; null while none is chosen
let latest = null; // name of the head that was chosen last
let classes = []; // labels in the order of the page; classes without examples exist only here
let all = []; // GET /heads

/** The head; `isNew` until the service has its first example. */
export const current = () => head;
export const labels = () => classes;
export const list = () => all;
export const examplesOf = (label) => head.examples.filter((one) => one.label === label);

/** An example as an image of a grid. */
export const asImage = ({ id, label, created }) => ({
  key: `example ${id}`,
  id,
  owner: examples,
  path: heads.imagePath(head.name, id),
  name: `${label}, ${new Date(created).toLocaleTimeString()}`,
});

/** Why this cannot be the name of a class; empty if it can. Browsers shorten paths with dots. */
export const problemOf = (label) =>
  ["", ".", ".."].includes(label) ? "A class needs a name of letters." : "";

export async function refreshList() {
  all = await heads.list();
  told("list");
}

/** Show a head, unless another one is chosen before it is loaded. */
export async function choose(name) {
  latest = name;
  const found = await heads.load(name);
  if (latest !== name) return;
  head = found;
  classes = Object.keys(head.labels);
  told("change");
}

/** Start a head that the service does not know yet. */
export function begin(name, base) {
  latest = name;
  head = { name, base, labels: {}, examples: [], taught: false, report: null, isNew: true };
  classes = [];
  told("change");
}

/** Read the head again. Classes without examples stay. */
export async function refresh() {
  if (!head || head.isNew) return;
  const { name } = head;
  const found = await heads.load(name);
  if (head?.name !== name) return; // another head was chosen meanwhile
  head = found;
  classes.push(...Object.keys(found.labels).filter((label) => !classes.includes(label)));
  told("change");
}

/** Show an example that the service has just acknowledged. */
export function note(name, example) {
  if (head?.name !== name) return;
  const isFirst = head.isNew;
  head.isNew = false;
  if (!head.examples.some(({ id }) => id === example.id)) head.examples.push(example);
  head.outdated = true;
  told("change");
  if (isFirst) refreshList();
}

/** The base to name with the first example of a head; null afterwards, and for the default. */
export const baseOfFirst = (name) => (head?.isNew && head.name === name ? head.base : null);

export function addClass(label) {
  if (!classes.includes(label)) classes.push(label);
  told("change");
}

/** Rename a class, or merge it into another one. */
export async function renameClass(from, to) {
  await changing(async () => {
    await relabel(
      head.name,
      examplesOf(from).map(({ id }) => id),
      to,
    );
    const at = classes.indexOf(from);
    classes.splice(at, 1, ...(classes.includes(to) ? [] : [to]));
  });
}

export const removeClass = (label) =>
  changing(async () => {
    if (examplesOf(label).length) await heads.removeLabel(head.name, label);
    classes.splice(classes.indexOf(label), 1);
  });

/** What can be done to selected examples, by their ids. */
export const examples = {
  has: (id) => Boolean(head?.examples.some((one) => one.id === id)),
  move: (ids, label) => changing(() => relabel(head.name, ids, label)),
  remove: (ids) =>
    changing(() => {
      const { name } = head;
      return forEach(ids, (id) => heads.removeExample(name, id));
    }),
};

export const addCaptures = ([first, ...others], label) =>
  changing(async () => {
    const { name } = head;
    await addCapture(name, first, label); // alone, because it may create the head
    await forEach(others, (id) => addCapture(name, id, label));
  });

async function addCapture(name, id, label) {
  note(name, await heads.addCapture(name, label, id, baseOfFirst(name)));
}

export async function remove() {
  if (!head.isNew) await heads.removeHead(head.name);
  head = null;
  classes = [];
  await refreshList();
  told("change");
}

const relabel = (name, ids, label) => forEach(ids, (id) => heads.relabel(name, id, label));

/** Do something and show what the service has then, even if it failed midway. */
async function changing(work) {
  try {
    await work();
  } finally {
    if (head.isNew) told("change");
    else await refresh();
  }
}
