/** Images in a smaller size. */

import { make } from "./dom.js";

/**
 * The address of a small JPEG, for as long as it is not revoked.
 * @param {Blob} blob
 * @param {number} pixels of its shorter side
 * @throws if the browser cannot show such images
 */
export async function reduced(blob, pixels) {
  const whole = await createImageBitmap(blob);
  const scale = Math.min(1, pixels / Math.min(whole.width, whole.height));
  const size = { width: Math.ceil(whole.width * scale), height: Math.ceil(whole.height * scale) };
  const canvas = make("canvas", size);
  canvas.getContext("2d").drawImage(whole, 0, 0, size.width, size.height);
  whole.close();
  return URL.createObjectURL(await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85)));
}
