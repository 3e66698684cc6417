/** What a training found out: accuracy, warnings, confusion matrix, worst photos. */

import { make } from "./dom.js";
import { percent } from "./format.js";
import { Grid } from "./grid.js";
import * as lesson from "./lesson.js";

const whole = (share) => `${Math.round(share * 100)}`;
const orUnknown = (share) => (share === null ? "unknown" : percent(share));

/** Elements for a report. */
export const findings = (report) =>
  [
    accuracy(report),
    list("Warnings", report.warnings.filter(isReadable)),
    worst(report.worst),
    mixed(report.near_duplicates),
    confusion(report),
    classes(report),
    list(
      "Skipped",
      report.skipped.map(({ file, reason }) => `${file}: ${reason}`),
    ),
    details(report),
  ].filter(Boolean);

function accuracy({ accuracy: right, interval, photos }) {
  if (right === null) return null; // a warning says why
  const [low, high] = interval.map(whole);
  return make(
    "p",
    { className: "accuracy" },
    make("b", {}, percent(right)),
    ` of ${photos} held-out photos right (95\u00a0% interval ${low} to ${high}\u00a0%)`,
  );
}

function list(title, lines) {
  if (!lines.length) return null;
  const items = lines.map((line) => make("li", {}, line));
  return make("div", {}, make("h3", {}, title), make("ul", { className: "notes" }, ...items));
}

/** The example of a report's file, or none if it is gone. */
const exampleOf = (file) => lesson.current().examples.filter(({ id }) => id === file);
/** Warnings that name examples are shown as photos. */
const isReadable = (text) => !lesson.current().examples.some(({ id }) => text.includes(id));

/** The photos that came out wrong with the most certainty, if they are still there. */
const worst = (photos) =>
  images(
    "Wrong and sure",
    "Often the label is wrong. Select photos to move or delete them.",
    photos.flatMap(({ file, label, predicted, probability }) => {
      const caption = `${label} → ${predicted} ${percent(probability)}`;
      return exampleOf(file).map((example) => ({ ...lesson.asImage(example), caption }));
    }),
  );

/** Near-duplicates that have different labels: one of them is probably wrong. */
const mixed = (groups) =>
  images(
    "Nearly the same, with different labels",
    "At least one label of each group is probably wrong.",
    groups
      .map((group) => group.flatMap(exampleOf))
      .filter((group) => new Set(group.map(({ label }) => label)).size > 1)
      .flat()
      .map((example) => ({ ...lesson.asImage(example), caption: example.label })),
  );

function images(title, hint, shown) {
  if (!shown.length) return null;
  const grid = new Grid(title);
  grid.show(shown);
  grid.element.classList.add("large");
  return make(
    "div",
    {},
    make("h3", {}, title),
    make("p", { className: "hint" }, hint),
    grid.element,
  );
}

function confusion({ labels, confusion: rows }) {
  if (!rows) return null;
  const cell = (number, row, column) => {
    const made = make("td", { className: row === column ? "right" : "wrong" }, number || "·");
    const share = number / Math.max(1, sum(rows[row]));
    made.style.setProperty("--share", share.toFixed(3));
    return made;
  };
  const heading = (label) => make("th", { scope: "col" }, make("span", { title: label }, label));
  const table = make(
    "table",
    { className: "confusion" },
    make("thead", {}, make("tr", {}, make("td"), ...labels.map(heading))),
    make(
      "tbody",
      {},
      ...rows.map((numbers, row) =>
        make(
          "tr",
          {},
          make("th", { scope: "row", title: labels[row] }, labels[row]),
          ...numbers.map((number, column) => cell(number, row, column)),
        ),
      ),
    ),
  );
  return scroll("Confusion matrix", "Held-out photos: class by row, answer by column.", table);
}

function classes({ classes: rows }) {
  const headings = ["Class", "Photos", "Right", "Unknown if not taught"];
  const table = make(
    "table",
    {},
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        ...headings.map((text, at) =>
          make("th", { scope: "col", className: at ? "number" : "" }, text),
        ),
      ),
    ),
    make(
      "tbody",
      {},
      ...rows.map(({ label, photos, recall, rejected_when_left_out: rejected }) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, label),
          ...[photos, orUnknown(recall), orUnknown(rejected)].map((text) =>
            make("td", { className: "number" }, text),
          ),
        ),
      ),
    ),
  );
  return scroll("Classes", "", table);
}

const scroll = (title, hint, table) =>
  make(
    "div",
    {},
    make("h3", {}, title),
    hint ? make("p", { className: "hint" }, hint) : null,
    make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": title }, table),
  );

function details(report) {
  const forms = report.forms.map(({ base, accuracy: right }) => `${base} ${orUnknown(right)}`);
  const lines = [
    `${report.photos} photos in ${report.seconds.toFixed(1)} s on ${report.base}.`,
    forms.length > 1
      ? `Held-out photos right by form: ${forms.join(", ")}; the first one serves.`
      : "",
    report.calibration_error === null
      ? ""
      : `Calibration error ${percent(report.calibration_error)}.`,
    report.false_alarm === null
      ? ""
      : `Held-out photos that come out unknown: ${percent(report.false_alarm)}.`,
    nearDuplicates(report.near_duplicates),
  ];
  return make("p", { className: "hint" }, lines.filter(Boolean).join(" "));
}

function nearDuplicates(groups) {
  if (!groups.length) return "";
  const photos = sum(groups.map((group) => group.length));
  const what = groups.length === 1 ? "a group" : `${groups.length} groups`;
  return `${photos} photos are near-duplicates, in ${what}; a group is held out as a whole.`;
}

const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);
