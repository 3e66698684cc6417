/** Files and folders that are dropped onto an element. */

const MOST = 5000; // files that are looked at in a drop; a folder may be a whole disk
const IMAGE = /\.(avif|bmp|gif|hei[cf]|jpe?g|png|tiff?|webp)$/i; // where the browser knows no type

const problem = (title, message) => Object.assign(new Error(message), { title });
export const LINK = problem(
  "Links are not supported",
  "The gateway reads no addresses. Save the image and drop the file.",
);

/**
 * @param {Node} element
 * @param {(files: File[], skipped: number) => void} receive told how many files of folders are no images
 * @param {(error: Error) => void} reject told why something is not read
 * @param {HTMLElement} shown marked while something is above the element
 * @param {(count: number) => void} reading told how many files of folders were found so far
 */
export function install(element, receive, reject, shown = element, reading = () => {}) {
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
    const link = event.dataTransfer.getData("text/uri-list");
    try {
      const { files, skipped } = await filesIn(event.dataTransfer, reading);
      const found = files.length || !link ? files : [inside(link)];
      if (!found.length && skipped) throw problem("No images", "The folder has none.");
      receive(found, skipped);
    } catch (error) {
      reject(error.title ? error : problem("Not readable", error.message));
    }
  });
}

/** Keep the browser from opening what is dropped beside every target. */
export function ignoreElsewhere() {
  for (const kind of ["dragover", "drop"])
    document.addEventListener(kind, (event) => event.preventDefault());
}

export const visible = (files) => files.filter((file) => file && !file.name.startsWith("."));
const isImage = ({ type, name }) => (type ? type.startsWith("image/") : IMAGE.test(name));

/** All files, and the images of folders, but for hidden ones. */
async function filesIn(carried, reading) {
  // Read everything before the first wait: the browser empties it then.
  const plain = [...carried.files];
  const entries = [...carried.items]
    .filter(({ kind }) => kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? null);
  const files = visible(plain.filter((_, at) => !entries[at]?.isDirectory));
  let skipped = 0;
  for (const folder of entries.filter((entry) => entry?.isDirectory))
    for await (const file of inFolder(folder)) {
      if (isImage(file)) files.push(file);
      else skipped += 1;
      reading(files.length);
      if (files.length + skipped >= MOST)
        throw problem("Large folder", `It has more than ${MOST} files. Drop a part of it.`);
    }
  return { files, skipped };
}

async function* inFolder(folder) {
  const reader = folder.createReader();
  for (;;) {
    // It gives at most 100 entries at a time, and none at the end.
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return;
    for (const entry of some) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory) yield* inFolder(entry);
      else yield await new Promise((done, fail) => entry.file(done, fail));
    }
  }
}

/** The image that an address itself carries. @throws if the address has to be read */
function inside(address) {
  const found = /^data:(image\/[\w.+-]+);base64,([\w+/]+=*)$/.exec(address.trim());
  if (!found) throw LINK;
  const bytes = Uint8Array.from(atob(found[2]), (letter) => letter.charCodeAt(0));
  return new File([bytes], "dropped", { type: found[1] });
}
