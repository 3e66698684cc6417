/** The classes of the head as cards, and the form that adds one. */

import { newCard } from "./class_card.js";
import { byId } from "./dom.js";
import * as lesson from "./lesson.js";
import * as uploads from "./uploads.js";

let cards = new Map(); // label -> card

export function install() {
  byId("add-class").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("class-name");
    lesson.addClass(field.value.trim());
    field.value = "";
  });
  byId("class-name").addEventListener("input", ({ target }) => {
    const name = target.value.trim();
    const known = lesson.labels().includes(name) ? "There is such a class." : "";
    target.setCustomValidity(lesson.problemOf(name) || known);
  });
  lesson.changes.addEventListener("change", draw);
  uploads.changes.addEventListener("change", () => {
    for (const card of cards.values()) card.draw();
  });
}

function draw() {
  const { name } = lesson.current() ?? {};
  const labels = lesson.labels();
  const known = cards;
  const cardOf = (label) =>
    known.get(label)?.head === name ? known.get(label) : newCard(name, label);
  cards = new Map(labels.map((label) => [label, cardOf(label)]));
  const list = byId("class-cards");
  const items = [...cards.values()].map(({ element }) => element);
  if (items.length !== list.children.length || items.some((one, at) => one !== list.children[at]))
    list.replaceChildren(...items);
  for (const card of cards.values()) card.draw();
  byId("classes-hint").hidden = labels.length > 1;
}
