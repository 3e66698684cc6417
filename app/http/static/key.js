/** The API key: asked for when the service wants one, kept for as long as the tab is open. */

import { byId } from "./dom.js";

const NAME = "mobilenet-gateway-key";
let asking = null;

export const current = () => sessionStorage.getItem(NAME);

/**
 * Ask for a key, once for however many requests need it.
 * @param {string|null} refused the key that was not good enough
 * @returns {Promise<boolean>} whether there is a key to try that has not been refused
 */
export function ask(refused) {
  if (current() !== refused) return Promise.resolve(true);
  sessionStorage.removeItem(NAME);
  asking ??= prompt(refused).finally(() => {
    asking = null;
  });
  return asking;
}

/** Say whether there is a key to forget, and forget it when asked to. */
export function install() {
  const forget = byId("forget-key");
  forget.hidden = !current();
  forget.addEventListener("click", () => {
    sessionStorage.removeItem(NAME);
    location.reload();
  });
}

function prompt(refused) {
  const dialog = byId("key-dialog");
  const input = byId("key");
  byId("key-reason").textContent = refused ? "The key that you gave is not one of its keys." : "";
  input.value = "";
  input.setCustomValidity("");
  return new Promise((resolve) => {
    const finish = (found) => {
      if (dialog.open) dialog.close();
      listening.abort();
      byId("forget-key").hidden = !found;
      resolve(found);
    };
    const listening = new AbortController();
    const { signal } = listening;
    input.addEventListener(
      "input",
      () => {
        const bad = /[^\x21-\x7e]/.test(input.value);
        input.setCustomValidity(bad ? "A key has letters, digits and signs, no spaces." : "");
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
