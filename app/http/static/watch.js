/** Starts the page that shows cameras; each part has its own module. */

import { getJson } from "./api.js";
import * as cameras from "./cameras.js";
import { announce, byId } from "./dom.js";
import * as events from "./event_list.js";
import * as stream from "./event_stream.js";
import * as key from "./key.js";
import { state, watch } from "./reachable.js";
import { say } from "./spoken.js";

let started = false;
let isNew = false; // the stream begins with events of before, then has the status of each camera

async function start() {
  key.install();
  const { cameras: names } = await getJson("info");
  started = true;
  state(true);
  byId("none").hidden = names.length > 0;
  byId("watched").hidden = !names.length;
  if (names.length) await Promise.all([cameras.follow(), stream.follow(take)]);
}

function take(kind, sent) {
  if (kind === "status") {
    isNew = true;
    cameras.show(sent);
    return;
  }
  events.add(sent);
  if (isNew) say(`${sent.camera}: ${sent.label} ${sent.ended_at ? "ended" : "started"}`);
}

start().catch((error) => {
  state(false, error.title ?? "error");
  announce(error);
});
watch(() => started || location.reload());
