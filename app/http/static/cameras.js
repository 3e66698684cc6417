/** All cameras, as the service knows them. */

import { ask } from "./api.js";
import { CameraCard } from "./camera_card.js";
import { byId } from "./dom.js";
import { say } from "./spoken.js";
import { visible } from "./visible.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 10_000;
const cards = new Map(); // name -> CameraCard

/**
 * Ask for all cameras again and again while the page is seen.
 * @throws {Problem} if asking again would not help
 */
export async function follow() {
  for (;;) {
    await visible();
    try {
      const response = await ask("cameras", { signal: AbortSignal.timeout(PATIENCE_MS) });
      const { cameras } = await response.json();
      keepOnly(cameras.map(({ name }) => name));
      for (const status of cameras) draw(status, true);
    } catch (error) {
      for (const one of cards.values()) one.lose();
      if (error.status >= 400 && error.status < 500) throw error;
    }
    await new Promise((resume) => setTimeout(resume, EVERY_MS));
  }
}

/** Show what has just changed. */
export const show = (status) => draw(status, false);

function draw(status, isReading) {
  const { name } = status;
  const card = cards.get(name) ?? newCard(name);
  const before = card.condition;
  card.show(status, isReading);
  if (before && card.condition !== before) say(`${name}: ${card.condition}`);
}

/** Forget cameras that the service does not have since it was started again. */
function keepOnly(names) {
  for (const [name, { element }] of cards) {
    if (names.includes(name)) continue;
    element.remove();
    cards.delete(name);
  }
}

function newCard(name) {
  const card = new CameraCard(name);
  cards.set(name, card);
  byId("cameras").append(card.element);
  return card;
}
