/** The API key: prompted for when the service needs one, kept while the tab is open. */

import { button, byId, make } from "./dom.js";

const NAME = "mobilenet-gateway-key";
const FORGOTTEN = "mobilenet-gateway-key-forgotten"; // ask for none until the user wants it
const GIVEN = "given";
let asking = null;
let declinedAt = -Infinity; // when the user last gave none, in milliseconds

export const current = () => sessionStorage.getItem(NAME);

/**
 * Prompt for a key, once for all requests that wait for it.
 * @param {string|null} rejected the key that the service rejected
 * @param {number} sentAt when that request was sent: once declined, none is asked for what is late
 * @param {string} reason what the key is not enough for; without it, the key is forgotten
 * @returns {Promise<boolean>} whether there is a new key to try
 */
export function ask(rejected, sentAt, reason = "") {
  if (current() !== rejected) return Promise.resolve(true);
  if (sentAt < declinedAt) return Promise.resolve(false);
  if (sessionStorage.getItem(FORGOTTEN) !== null) return Promise.resolve(false);
  if (!reason) sessionStorage.removeItem(NAME);
  asking ??= prompt(reason || (rejected && "The gateway rejected this key.")).finally(() => {
    asking = null;
  });
  return asking;
}

/** Show the button that forgets the key while there is one, and then asks for one again. */
export function install() {
  const forget = byId("forget-key");
  const isForgotten = sessionStorage.getItem(FORGOTTEN) !== null;
  forget.hidden = !current() && !isForgotten;
  if (isForgotten) forget.textContent = "Enter a key";
  forget.addEventListener("click", () => {
    if (current()) sessionStorage.setItem(FORGOTTEN, "");
    else sessionStorage.removeItem(FORGOTTEN);
    sessionStorage.removeItem(NAME);
    location.reload();
  });
}

function prompt(reason) {
  const input = make("input", { type: "password", id: "key", autocomplete: "off", required: true });
  input.addEventListener("input", () => {
    const bad = /[^\x21-\x7e]/.test(input.value);
    input.setCustomValidity(bad ? "A key has letters, digits and punctuation, no spaces." : "");
  });
  const form = make(
    "form",
    { method: "dialog" }, // its button closes the dialog
    make("h2", { id: "key-title" }, "This gateway needs a key"),
    make("p", { id: "key-reason" }, reason ?? ""),
    make("p", { className: "field" }, make("label", { htmlFor: "key" }, "API key"), input),
    make("p", { className: "hint" }, "This tab keeps the key until it is closed."),
    make(
      "p",
      { className: "actions" },
      make("button", { value: GIVEN }, "Use key"),
      " ",
      button("Not now", { className: "second" }, () => dialog.close()),
    ),
  );
  const dialog = make("dialog", { "aria-labelledby": "key-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const isGiven = dialog.returnValue === GIVEN;
      if (isGiven) sessionStorage.setItem(NAME, input.value);
      else declinedAt = performance.now();
      dialog.remove();
      byId("forget-key").hidden = !current();
      resolve(isGiven);
    });
  });
}
