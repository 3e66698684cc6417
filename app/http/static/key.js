/** The API key: prompted for when the service needs one, kept while the tab is open. */

import { byId } from "./dom.js";

const NAME = "mobilenet-gateway-key";
const FORGOTTEN = "mobilenet-gateway-key-forgotten"; // ask for none until the user wants it
let asking = null;

export const current = () => sessionStorage.getItem(NAME);

/**
 * Prompt for a key, once for all requests that wait for it.
 * @param {string|null} rejected the key that the service rejected
 * @param {string} reason what the key is not enough for; without it, the key is forgotten
 * @returns {Promise<boolean>} whether there is a new key to try
 */
export function ask(rejected, reason = "") {
  if (current() !== rejected) return Promise.resolve(true);
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
  const dialog = byId("key-dialog");
  const input = byId("key");
  byId("key-reason").textContent = reason ?? "";
  input.value = "";
  input.setCustomValidity("");
  return new Promise((resolve) => {
    const finish = (found) => {
      if (dialog.open) dialog.close();
      listening.abort();
      byId("forget-key").hidden = !current();
      resolve(found);
    };
    const listening = new AbortController();
    const { signal } = listening;
    input.addEventListener(
      "input",
      () => {
        const bad = /[^\x21-\x7e]/.test(input.value);
        input.setCustomValidity(bad ? "A key has letters, digits and punctuation, no spaces." : "");
      },
      { signal },
    );
    byId("key-form").addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        sessionStorage.setItem(NAME, input.value);
        finish(true);
      },
      { signal },
    );
    byId("key-cancel").addEventListener("click", () => finish(false), { signal });
    dialog.addEventListener("close", () => finish(false), { signal });
    dialog.showModal();
    input.focus();
  });
}
