/** Files and folders that are dropped onto an element. */

const LINK = Object.assign(
  new Error("The gateway reads no addresses. Save the image and drop the file."),
  { title: "Links are not supported" },
);

/**
 * @param {Node} element
 * @param {(files: File[]) => void} receive
 * @param {(error: Error) => void} reject told why a link is not read
 * @param {HTMLElement} shown marked while something is above the element
 */
export function install(element, receive, reject, shown = element) {
  const over = (on) => shown.classList.toggle("over", on);
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  element.addEventListener("dragleave", (event) => {
    if (!element.contains(event.relatedTarget)) over(false);
  });
  element.addEventListener("drop", async (event) => {
    event.preventDefault();
    over(false);
    const isLink = event.dataTransfer.types.includes("text/uri-list");
    const files = await filesIn(event.dataTransfer);
    if (isLink && !files.length) reject(LINK);
    else receive(files);
  });
}

/** Keep the browser from opening what is dropped beside every target. */
export function ignoreElsewhere() {
  for (const kind of ["dragover", "drop"])
    document.addEventListener(kind, (event) => event.preventDefault());
}

/** All files with those in folders, but for hidden ones. */
async function filesIn(carried) {
  // Read everything before the first wait: the browser empties it then.
  const plain = [...carried.files];
  const entries = [...carried.items]
    .filter(({ kind }) => kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? null);
  const found = await Promise.all(
    entries.map((entry, at) => (entry?.isDirectory ? inFolder(entry) : [plain[at]])),
  );
  return visible(found.flat());
}

export const visible = (files) => files.filter((file) => file && !file.name.startsWith("."));

async function inFolder(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    // It gives at most 100 entries at a time, and none at the end.
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return found;
    for (const entry of some)
      found.push(
        ...(entry.isDirectory
          ? await inFolder(entry)
          : [await new Promise((done, fail) => entry.file(done, fail))]),
      );
  }
}
