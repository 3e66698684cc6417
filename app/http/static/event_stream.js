/** Events of all cameras. The request carries the key, which an EventSource cannot. */

import { ask } from "./api.js";
import { visible } from "./visible.js";

const BEFORE_ALL = "0"; // an id: the events that the service still knows come first
const RETRY_MS = 3000;
const SILENCE_MS = 45_000; // three heartbeats of the service

/**
 * Follow the events while the page is seen; after each loss, those that were missed come first.
 * A browser has few connections for a service, so a hidden tab keeps none.
 * @param {(kind: string, sent: object) => void} tell
 * @throws {Problem} if asking again would not help
 */
export async function follow(tell) {
  let lastId = BEFORE_ALL;
  for (;;) {
    await visible();
    const leaving = new AbortController();
    const leave = () => leaving.abort();
    document.addEventListener("visibilitychange", leave, { once: true });
    let pauseMs = RETRY_MS;
    try {
      const { signal } = leaving;
      const response = await ask("events", { headers: { "Last-Event-ID": lastId }, signal });
      for await (const { id, event, data } of messages(response.body)) {
        lastId = id ?? lastId;
        tell(event, JSON.parse(data));
      }
    } catch (error) {
      if (error.status >= 400 && error.status < 500) throw error;
      if (error.retryAfterS) pauseMs = error.retryAfterS * 1000;
    }
    document.removeEventListener("visibilitychange", leave);
    await new Promise((resume) => setTimeout(resume, pauseMs));
  }
}

/** The fields of each message, until the connection ends or is silent for too long. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const timer = setTimeout(() => reader.cancel(), SILENCE_MS);
    const { value, done } = await reader.read();
    clearTimeout(timer);
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const found = fields(part);
      if (found.data) yield found; // else a heartbeat
    }
  }
}

const fields = (part) =>
  Object.fromEntries(
    part.split("\n").map((line) => {
      const at = line.indexOf(":");
      return [line.slice(0, at), line.slice(at + 2)];
    }),
  );
