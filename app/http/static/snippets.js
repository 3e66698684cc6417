/** The request of the page as code to copy. */

import * as choice from "./choice.js";
import { byId } from "./dom.js";
import * as key from "./key.js";

const TYPE = "application/octet-stream"; // the service finds the format itself

export function install() {
  for (const [id, write] of [
    ["copy-curl", curl],
    ["copy-python", python],
  ])
    byId(id).addEventListener("click", () => show(write(address())));
  choice.changes.addEventListener("change", () => hide());
}

function address() {
  const given = Object.entries(choice.asked()).filter(([, value]) => value !== null);
  const { href } = new URL(`predict?${new URLSearchParams(given)}`, location.href);
  return href.replaceAll("'", "%27"); // for the shell
}

/** Keys are not part of the text. */
function curl(url) {
  const secret = key.current() === null ? "" : ' -H "X-API-Key: $KEY"';
  return `curl --data-binary @photo.jpg -H 'Content-Type: ${TYPE}'${secret} '${url}'`;
}

function python(url) {
  const secret = key.current() === null ? "" : ', "X-API-Key": os.environ["KEY"]';
  return `import json
${secret ? "import os\n" : ""}from urllib.request import Request, urlopen

with open("photo.jpg", "rb") as photo:
    image = photo.read()
headers = {"Content-Type": "${TYPE}"${secret}}
with urlopen(Request(${JSON.stringify(url)}, image, headers)) as answer:
    for found in json.load(answer)["results"][0]["predictions"]:
        print(found["label"], found["probability"])
`;
}

async function show(text) {
  byId("snippet").hidden = false;
  byId("snippet").textContent = text;
  byId("copied").textContent = (await copy(text))
    ? "Copied."
    : "The browser does not allow it: copy the selected text.";
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No permission, or the page is neither from HTTPS nor from this machine.
    getSelection().selectAllChildren(byId("snippet"));
    return document.execCommand("copy");
  }
}

function hide() {
  byId("snippet").hidden = true;
  byId("copied").textContent = "";
}
