/** A camera: its newest frame, its label, and how it does. */

import { make } from "./dom.js";
import { percent } from "./format.js";
import { NewestFrame } from "./newest_frame.js";
import { clock, lasting } from "./times.js";

const WINDOW_MS = 10_000;
const RATES = [
  ["Seen", "frames_seen"],
  ["Skipped", "frames_unchanged"],
  ["Dropped", "frames_dropped"],
];

/** Nothing is touched that stays: a selection survives, and screen readers keep their place. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export class CameraCard {
  condition = ""; // a word, of the last status
  #frame;
  #readings = []; // {at, counts}, the newest last
  #known = null; // the last status
  #knownAt = 0;
  #badge = make("span", { className: "badge" });
  #label = make("b", { className: "label" });
  #about = make("span", {});
  #error = make("p", { className: "error", hidden: true });
  #rates = RATES.map(() => make("dd"));
  #age = make("dd", { className: "age" });
  #model = make("p", { className: "hint" });
  #source = make("p", { className: "hint" });

  /** @param {string} name */
  constructor(name) {
    this.#frame = new NewestFrame(name);
    const pair = (term, value) => make("div", {}, make("dt", {}, term), value);
    this.element = make(
      "li",
      { className: "card camera-card" },
      this.#frame.element,
      make("h2", {}, make("span", { className: "camera-name" }, name), this.#badge),
      make("p", { className: "present" }, this.#label, " ", this.#about),
      this.#error,
      make(
        "dl",
        { className: "figures" },
        ...RATES.map(([term], at) => pair(term, this.#rates[at])),
        pair("Newest frame", this.#age),
      ),
      this.#model,
      this.#source,
    );
  }

  /** Show a status. @param {boolean} isReading whether rates are reckoned from it */
  show(status, isReading) {
    const now = performance.now();
    this.#known = status;
    this.#knownAt = now;
    if (isReading) this.#reckon(status, now);
    this.#frame.update(status);
    const [text, kind] = condition(status);
    this.condition = text;
    write(this.#badge, text);
    this.#badge.className = `badge ${kind}`;
    this.element.classList.toggle("lost", !status.connected);
    this.#tell(status);
    this.tick();
    write(this.#model, status.model ?? "No model yet");
    write(this.#source, status.source.address);
  }

  /** Let the newest frame grow older. */
  tick() {
    const { frame_age_ms: age, stale_after_ms: limit } = this.#known;
    const older = performance.now() - this.#knownAt;
    write(this.#age, age === null ? "none" : `${lasting(age + older)} ago`);
    this.#age.classList.toggle("stale", age !== null && age + older > limit);
  }

  /** The service did not answer, so nothing is known. */
  lose() {
    write(this.#badge, "not known");
    this.#badge.className = "badge";
    this.tick();
  }

  #tell({ label, probability, since, error, connected, reconnects }) {
    write(this.#label, label ?? "No label");
    this.#label.classList.toggle("none", label === null);
    write(this.#about, label === null ? "" : `${percent(probability)} since ${clock(since)}`);
    const attempts = connected || !reconnects ? "" : ` Attempts to connect: ${reconnects}.`;
    this.#error.hidden = error === null;
    write(this.#error, `${error ?? ""}${attempts}`);
  }

  #reckon(status, now) {
    const counts = RATES.map(([, field]) => status[field]);
    const last = this.#readings.at(-1);
    const isRestarted = last && counts.some((count, at) => count < last.counts[at]);
    if (isRestarted) this.#readings = [];
    this.#readings.push({ at: now, counts });
    while (this.#readings.length > 2 && now - this.#readings[0].at > WINDOW_MS)
      this.#readings.shift();
    const [first] = this.#readings;
    const seconds = (now - first.at) / 1000;
    counts.forEach((count, at) => {
      const rate = seconds ? ((count - first.counts[at]) / seconds).toFixed(1) : "–";
      write(this.#rates[at], `${rate}/s`);
    });
  }
}

/** A word for how a camera does, and its kind. */
function condition({ connected, error, frames_seen: seen, reconnects }) {
  if (connected) return error === null ? ["online", "fine"] : ["not classified", "bad"];
  return seen || reconnects ? ["reconnecting", "bad"] : ["connecting", ""];
}
