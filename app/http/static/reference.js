/** The API reference: /openapi.json in readable form, with forms to try each operation. */

import { ask, getJson, Problem } from "./api.js";
import { announce, byId, make } from "./dom.js";
import { bytes, ms } from "./format.js";
import * as key from "./key.js";

const SHOWN_CHARACTERS = 20000;
let schemas = {};

async function start() {
  key.install();
  const { info, paths, components } = await getJson("openapi.json");
  schemas = components.schemas;
  byId("title").textContent = `API of ${info.title} ${info.version}`;
  byId("about").replaceChildren(...prose(info.description));
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      ...operation,
    })),
  );
  byId("operations").replaceChildren(...operations.map(shown));
  byId("schemas").replaceChildren(
    ...Object.entries(schemas).map(([name, schema]) =>
      make(
        "details",
        { className: "operation", id: `schema-${name}` },
        make(
          "summary",
          {},
          make("span", { className: "path" }, name),
          make("span", { className: "what" }, ...firstLine(schema.description)),
        ),
        make("div", { className: "inside" }, described(schema), fields(schema), examplesOf(schema)),
      ),
    ),
  );
  open();
  addEventListener("hashchange", open);
}

/** Open the operation or schema that the address names. */
function open() {
  const found = byId(decodeURIComponent(location.hash.slice(1)));
  if (found instanceof HTMLDetailsElement) {
    found.open = true;
    found.scrollIntoView();
  }
}

/** Text with code between backticks. */
const prose = (text = "") =>
  text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
const firstLine = (text = "") => prose(text.split("\n")[0]);
const described = ({ description }) => (description ? make("p", {}, ...prose(description)) : null);

function shown(operation) {
  const { method, path, description, parameters = [], requestBody, responses } = operation;
  return make(
    "details",
    { className: "operation", id: `${method}-${path}` },
    make(
      "summary",
      {},
      make("span", { className: `method ${method}` }, method),
      make("code", { className: "path" }, path),
      make("span", { className: "what" }, ...firstLine(description)),
    ),
    make(
      "div",
      { className: "inside" },
      described(operation),
      parameters.length ? parameterTable(parameters) : null,
      requestBody ? body(requestBody) : null,
      make("h2", {}, "With curl"),
      make("pre", { tabIndex: 0 }, curl(operation)),
      make("h2", {}, "Responses"),
      ...Object.entries(responses).map(([status, response]) => answer(status, response)),
      make("h2", {}, "Try it"),
      trial(operation),
    ),
  );
}

function table(headings, rows) {
  return make(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Table" },
    make(
      "table",
      {},
      make(
        "thead",
        {},
        make("tr", {}, ...headings.map((name) => make("th", { scope: "col" }, name))),
      ),
      make(
        "tbody",
        {},
        ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell)))),
      ),
    ),
  );
}

const parameterTable = (parameters) =>
  make(
    "div",
    {},
    make("h2", {}, "Parameters"),
    table(
      ["name", "in", "type", "default", "description"],
      parameters.map(({ name, in: where, required, schema, description }) => [
        make("code", {}, name),
        required ? `${where}, required` : where,
        typeOf(schema),
        schema.default ?? "",
        make("span", {}, ...prose(description ?? schema.description)),
      ]),
    ),
  );

function body({ description, content }) {
  const [example] = Object.values(content)
    .map((form) => form.example)
    .filter(Boolean);
  return make(
    "div",
    {},
    make("h2", {}, "Body"),
    make("p", {}, description ?? ""),
    make("p", { className: "hint" }, Object.keys(content).join(", ")),
    example ? json(example) : null,
  );
}

function answer(status, { description, content = {} }) {
  const parts = Object.entries(content).flatMap(([type, form]) => [
    make(
      "p",
      { className: "hint" },
      type,
      form.schema?.$ref ? ": " : "",
      form.schema?.$ref ? typeOf(form.schema) : "",
    ),
    ...Object.entries(form.examples ?? {}).map(([, { value }]) => json(value)),
    form.schema?.$ref && !form.examples ? examplesOf(resolve(form.schema)) : null,
  ]);
  return make("details", {}, make("summary", {}, `${status} ${description}`), ...parts);
}

const resolve = ({ $ref }) => schemas[$ref.split("/").pop()];
const json = (value) => make("pre", { tabIndex: 0 }, JSON.stringify(value, null, 2));
const examplesOf = ({ examples = [] }) => (examples.length ? json(examples[0]) : null);

/** The type of a value in words; a named schema becomes a link. */
function typeOf(schema = {}) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return make("a", { href: `#schema-${name}` }, name);
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices)
    return make(
      "span",
      {},
      ...choices.flatMap((one, index) => (index ? [" or ", typeOf(one)] : [typeOf(one)])),
    );
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(", ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.type === "array")
    return make("span", {}, "array of ", typeOf(schema.items ?? { type: "any" }));
  const limits = [
    ["minimum", "≥"],
    ["exclusiveMinimum", ">"],
    ["maximum", "≤"],
    ["exclusiveMaximum", "<"],
  ]
    .filter(([name]) => name in schema)
    .map(([name, sign]) => `${sign} ${schema[name]}`);
  return [schema.type ?? "any", ...limits].join(" ");
}

function fields({ properties = {}, required = [] }) {
  return table(
    ["field", "type", "description"],
    Object.entries(properties).map(([name, schema]) => [
      make("code", {}, required.includes(name) ? name : `${name}?`),
      typeOf(schema),
      make("span", {}, ...prose(schema.description)),
    ]),
  );
}

/** The example of a JSON body, or null if the body is an image. */
function jsonBody({ requestBody }) {
  if (!requestBody || "image/jpeg" in requestBody.content) return null;
  return requestBody.content["application/json"].example;
}

function curl({ method, path, requestBody }) {
  const address = new URL(`.${path}`, location.href).href
    .replaceAll("%7B", "{")
    .replaceAll("%7D", "}");
  const parts = ["curl"];
  const sent = jsonBody({ requestBody });
  if (sent) parts.push(`-d '${JSON.stringify(sent)}' -H 'Content-Type: application/json'`);
  else if (requestBody) parts.push("--data-binary @photo.jpg -H 'Content-Type: image/jpeg'");
  else if (method !== "GET") parts.push(`-X ${method}`);
  if (key.current() !== null) parts.push('-H "X-API-Key: $KEY"');
  return [...parts, `'${address}'`].join(" ");
}

/** A form with a field for each parameter, and for the body JSON or a file. */
function trial({ method, path, parameters = [], requestBody }) {
  const inputs = parameters.map((parameter) => ({
    parameter,
    input: make("input", {
      type: "text",
      placeholder: String(parameter.schema?.default ?? ""),
      required: Boolean(parameter.required),
    }),
  }));
  const example = jsonBody({ requestBody });
  const text = example
    ? make("textarea", { value: JSON.stringify(example, null, 2), rows: 8, spellcheck: false })
    : null;
  const file = requestBody && !text ? make("input", { type: "file", required: true }) : null;
  const result = make("div", { role: "status" });
  const field = (name, input) => make("label", { className: "field" }, name, input);
  const form = make(
    "form",
    { className: "try" },
    ...inputs.map(({ parameter, input }) => field(parameter.name, input)),
    requestBody ? field("body", text ?? file) : null,
    make("p", { className: "actions" }, make("button", { type: "submit" }, "Send")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = new URLSearchParams();
    const headers = {};
    let target = path.slice(1);
    for (const {
      parameter: { name, in: where },
      input: { value },
    } of inputs) {
      if (where === "path") target = target.replace(`{${name}}`, encodeURIComponent(value));
      else if (value && where === "header") headers[name] = value;
      else if (value) query.set(name, value);
    }
    if (requestBody)
      headers["Content-Type"] = text ? "application/json" : "application/octet-stream";
    const body = text ? text.value : file?.files[0];
    const address = query.size ? `${target}?${query}` : target;
    result.replaceChildren(...(await send(address, { method, headers, body })));
  });
  return make("div", {}, form, result);
}

async function send(address, options) {
  const began = performance.now();
  try {
    const response = await ask(address, options);
    const text = await response.text();
    const took = performance.now() - began;
    const size = new TextEncoder().encode(text).length;
    return [
      make("p", { className: "hint" }, `${response.status}, ${ms(took)}, ${bytes(size)}`),
      make("pre", { tabIndex: 0 }, pretty(text)),
    ];
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return [
      make(
        "p",
        { className: "error" },
        make("b", {}, `${error.status} ${error.title}`),
        ` ${error.message}`,
      ),
    ];
  }
}

function pretty(text) {
  let shownText = text;
  try {
    shownText = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    /* not JSON: show unchanged */
  }
  const more = shownText.length - SHOWN_CHARACTERS;
  return more > 0
    ? `${shownText.slice(0, SHOWN_CHARACTERS)}\n… ${more} more characters`
    : shownText;
}

start().catch(announce);
