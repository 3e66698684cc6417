/** A camera that is shown in a video element. */

import { make } from "./dom.js";

const QUALITY = 0.9;

/** Browsers allow video only on pages from HTTPS or from this machine; elsewhere, take a photo. */
export const isAllowed = () => Boolean(navigator.mediaDevices);

export class Webcam {
  #video;
  #stream = null;
  #opening = null;

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  get isOpen() {
    return this.#stream !== null;
  }

  /** Open the camera, once. @throws {Error} with a title, if there is none that may be used */
  open(wanted = {}) {
    this.#opening ??= this.#open(wanted).finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #open(wanted) {
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: "environment", ...wanted },
      });
    } catch (error) {
      const why =
        error.name === "NotAllowedError"
          ? "The browser has no permission to use it."
          : "No usable camera was found.";
      throw Object.assign(new Error(why), { title: "No camera" });
    }
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
  }

  /** The current frame as a JPEG file. */
  async frame() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    const canvas = make("canvas", { width, height });
    canvas.getContext("2d").drawImage(this.#video, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    return new File([blob], "camera.jpg", { type: blob.type });
  }
}
