/** Whether the service answers, at the top of the page. */

import { byId } from "./dom.js";

// Together less than the five seconds within which the page shows that the service has gone.
const EVERY_MS = 2000;
const PATIENCE_MS = 2500;
const GONE = "not reachable";

/** Show the state of the service. */
export function state(fine, text = "ready") {
  const shown = byId("state");
  if (shown.textContent !== text) shown.textContent = text;
  shown.className = fine ? "fine" : "bad";
}

/** Show that a request got no answer; the next one that does means that the service is back. */
export const gone = () => state(false, GONE);

/** Ask again and again while the page is seen. @param {() => void} onReturn */
export async function watch(onReturn) {
  for (;;) {
    await new Promise((resume) => setTimeout(resume, EVERY_MS));
    if (document.hidden) continue;
    const answers = await isAlive();
    if (!answers) gone();
    else if (byId("state").textContent === GONE) {
      state(true);
      onReturn();
    }
  }
}

async function isAlive() {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    await fetch("healthz", { cache: "no-store", credentials: "omit", signal });
    return true;
  } catch {
    return false;
  }
}
