/** Asking the service. Paths are relative, so that the page also works below a prefix. */

import * as key from "./key.js";

const TRIES = 5;

/** Why a request was not answered (RFC 9457), or why there was no answer at all. */
export class Problem extends Error {
  constructor({ title, detail, status }, retryAfterS = null) {
    super(detail);
    this.title = title;
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/**
 * The response of the service; a key is asked for if it wants one.
 * @param {string} path
 * @param {RequestInit} options
 * @throws {Problem}
 */
export async function ask(path, options = {}) {
  for (;;) {
    const sent = key.current();
    const response = await reach(path, { ...options, headers: headers(options, sent) });
    if (response.status === 401 && (await key.ask(sent))) continue;
    if (!response.ok) throw await problemOf(response);
    return response;
  }
}

export const getJson = async (path) => (await ask(path)).json();
export const getText = async (path) => (await ask(path)).text();

/**
 * Classify one image; waits and asks again while the service is overloaded.
 * @param {Blob} image
 * @param {Object<string, *>} asked the query, where null stands for what is not asked
 */
export async function predict(image, asked) {
  const given = Object.entries(asked).filter(([, value]) => value !== null);
  const query = new URLSearchParams(given);
  const options = {
    method: "POST",
    body: image,
    headers: { "Content-Type": "application/octet-stream" },
  };
  for (let tries = 1; ; tries += 1) {
    try {
      return await (await ask(`predict?${query}`, options)).json();
    } catch (error) {
      if (error.status !== 503 || tries === TRIES) throw error;
      await new Promise((resume) => setTimeout(resume, (error.retryAfterS ?? 1) * 1000));
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
    const detail = "the gateway does not answer; it may be stopped, or the network down";
    throw new Problem({ title: "No answer", detail, status: 0 });
  }
}

async function problemOf(response) {
  const retryAfterS = Number(response.headers.get("Retry-After")) || null;
  try {
    const { error, ...problem } = await response.json(); // `error`: as /v2 says it
    const title = error && "Not answered";
    return new Problem({ title, detail: error, status: response.status, ...problem }, retryAfterS);
  } catch {
    const detail = `status ${response.status}, and no reason was given`;
    return new Problem({ title: "Not answered", detail, status: response.status }, retryAfterS);
  }
}
