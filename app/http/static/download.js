/** Files made by the page. */

import { make } from "./dom.js";

const KEPT_MS = 60_000;

/** Let the browser save a file. */
export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), KEPT_MS);
}
