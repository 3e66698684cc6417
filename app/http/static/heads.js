/** Requests to /heads and /captures. */

import { ask, getJson, Problem, sendImage } from "./api.js";

const path = (...parts) => parts.map(encodeURIComponent).join("/");
export const imagePath = (head, id) => path("heads", head, "examples", id);
export const capturePath = (id) => path("captures", id);

const withBody = (method, body) => ({
  method,
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json" },
});
const remove = (what) => ask(what, { method: "DELETE" });
const postFor = async (what) => (await ask(what, { method: "POST" })).json();

export const list = async () => (await getJson("heads")).heads;
export const load = (head) => getJson(path("heads", head));
export const train = (head) => postFor(path("heads", head, "train"));
export const undo = (head) => postFor(path("heads", head, "undo"));
export const file = async (head) => (await ask(path("heads", head, "head.npz"))).blob();
export const removeHead = (head) => remove(path("heads", head));
export const removeLabel = (head, label) => remove(path("heads", head, "labels", label));
export const removeExample = (head, id) => remove(imagePath(head, id));
export const relabel = (head, id, label) => ask(imagePath(head, id), withBody("PATCH", { label }));

/**
 * Add an image to a class.
 * @param {string|null} base the base model of a head that does not exist yet
 * @throws {Problem}
 */
export async function addImage(head, label, image, base) {
  const { examples } = await sendImage(examplesPath(head, label, base), image);
  return accepted(examples[0]);
}

/** Move a captured image to a class. @throws {Problem} */
export async function addCapture(head, label, id, base) {
  const options = withBody("POST", { captures: [id] });
  const { examples } = await (await ask(examplesPath(head, label, base), options)).json();
  return accepted(examples[0]);
}

/** The newest captured images, or those before an id. */
export const captures = (limit, before) =>
  getJson(`captures?${new URLSearchParams(before ? { limit, before } : { limit })}`);
export const removeCapture = (id) => remove(capturePath(id));
export const removeCaptures = () => remove("captures");

const examplesPath = (head, label, base) =>
  `${path("heads", head, "examples", label)}${base ? `?${new URLSearchParams({ base })}` : ""}`;

function accepted(example) {
  if (example.error) throw new Problem(example.error);
  return example;
}
