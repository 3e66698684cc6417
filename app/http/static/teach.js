/** Starts the page that teaches heads; each part has its own module. */

import { errorText } from "./answers.js";
import { getJson } from "./api.js";
import * as captures from "./captures.js";
import * as chooser from "./chooser.js";
import * as classes from "./classes.js";
import { byId } from "./dom.js";
import * as dropped from "./dropped.js";
import * as key from "./key.js";
import * as selection from "./selection.js";
import * as training from "./training.js";
import * as viewfinder from "./viewfinder.js";

async function start() {
  key.install();
  dropped.ignoreElsewhere();
  classes.install();
  viewfinder.install();
  training.install();
  selection.install();
  await chooser.install();
  byId("chooser").hidden = false;
  byId("captures").hidden = false;
  await captures.install();
}

async function linkToCameras() {
  const { cameras } = await getJson("info");
  byId("watch-link").hidden = !cameras.length;
}

linkToCameras().catch(() => {}); // what fails here fails below, too
start().catch((error) => byId("head-error").replaceChildren(errorText(error)));
