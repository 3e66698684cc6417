/** Requests to the service. Paths are relative, so that the page also works under a path prefix. */

import * as key from "./key.js";

const TRIES = 5;

/** The problem of a request (RFC 9457), or the reason why there was no answer. */
export class Problem extends Error {
  constructor({ title, detail, status }, retryAfterS = null) {
    super(detail);
    this.title = title;
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/**
 * Send a request and return the response; prompt for a key if the service needs one.
 * @param {string} path
 * @param {RequestInit} options
 * @throws {Problem}
 */
export async function ask(path, options = {}) {
  for (;;) {
    const sent = key.current();
    const sentAt = performance.now();
    const response = await reach(path, { ...options, headers: headers(options, sent) });
    if (response.ok) return response;
    if (response.status === 401 && (await key.ask(sent, sentAt))) continue;
    const problem = await problemOf(response);
    // A key that opens everything else is not enough for what needs the admin key.
    if (response.status === 403 && sent && (await key.ask(sent, sentAt, problem.message))) continue;
    throw problem;
  }
}

export const getJson = async (path) => (await ask(path)).json();
export const getText = async (path) => (await ask(path)).text();

/**
 * Classify one image; wait and retry while the service is overloaded.
 * @param {Blob} image
 * @param {Object<string, *>} asked the query; parameters that are null are left out
 * @param {(seconds: number) => void} waiting told before each wait
 */
export async function predict(image, asked, waiting) {
  const given = Object.entries(asked).filter(([, value]) => value !== null);
  return sendImage(`predict?${new URLSearchParams(given)}`, image, waiting);
}

/** Send the bytes of an image; wait and retry while the service is overloaded. */
export async function sendImage(path, image, waiting = () => {}) {
  const options = {
    method: "POST",
    body: image,
    headers: { "Content-Type": "application/octet-stream" },
  };
  for (let tries = 1; ; tries += 1) {
    try {
      return await (await ask(path, options)).json();
    } catch (error) {
      if (error.status !== 503 || tries === TRIES) throw error;
      const seconds = error.retryAfterS ?? 1;
      waiting(seconds);
      await new Promise((resume) => setTimeout(resume, seconds * 1000));
    }
  }
}

function headers(options, sent) {
  const all = new Headers(options.headers);
  if (sent) all.set("X-API-Key", sent);
  return all;
}

async function reach(path, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", credentials: "omit" });
  } catch {
    const detail = "The gateway does not answer. It may be stopped, or the network may be down.";
    throw new Problem({ title: "No answer", detail, status: 0 });
  }
}

async function problemOf(response) {
  const retryAfterS = Number(response.headers.get("Retry-After")) || null;
  try {
    const { error, ...problem } = await response.json(); // /v2 answers `error` instead of a problem
    const title = error && "Not answered";
    return new Problem({ title, detail: error, status: response.status, ...problem }, retryAfterS);
  } catch {
    const detail = `Status ${response.status} without a reason.`;
    return new Problem({ title: "Not answered", detail, status: response.status }, retryAfterS);
  }
}
