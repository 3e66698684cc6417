/** A button that takes photos while it is held, with pointer or keyboard. */

const EVERY_MS = 200;
const KEYS = new Set([" ", "Enter"]);

/**
 * @param {HTMLButtonElement} shutter
 * @param {() => Promise<boolean>} take take one photo; false ends the burst
 */
export function install(shutter, take) {
  let turn = 0; // the burst that may continue
  let pressed = false;

  async function hold() {
    turn += 1;
    const mine = turn;
    pressed = true;
    shutter.classList.add("held");
    for (;;) {
      const began = performance.now();
      if (!(await take())) break;
      const rest = EVERY_MS - (performance.now() - began);
      if (mine === turn) await new Promise((resume) => setTimeout(resume, Math.max(0, rest)));
      if (mine !== turn) return;
    }
    release();
  }
  function release() {
    turn += 1;
    pressed = false;
    shutter.classList.remove("held");
  }

  shutter.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    shutter.setPointerCapture(event.pointerId); // so that a finger may slide off
    hold();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"])
    shutter.addEventListener(end, release);
  shutter.addEventListener("keydown", (event) => {
    if (!KEYS.has(event.key)) return;
    event.preventDefault();
    if (!event.repeat && !pressed) hold();
  });
  shutter.addEventListener("keyup", (event) => {
    if (!KEYS.has(event.key)) return;
    event.preventDefault();
    release();
  });
  shutter.addEventListener("contextmenu", (event) => event.preventDefault()); // of a long touch
  // Screen readers and voice control click without a pointer or a key.
  shutter.addEventListener("click", (event) => {
    if (event.detail === 0 && !pressed) take();
  });
}
