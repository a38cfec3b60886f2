// Briefly colour text that changed. One timer ends all colours: animations would repaint on every frame.

const DURATION = 700;
const STEP = 250;

const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

/** @type {Map<HTMLElement, number>} when the colour of an element ends */
const flashing = new Map();
let timer = 0;

/** @param {HTMLElement} target @param {string} direction "up", "down" or "none" */
export function flash(target, direction) {
  if (direction === "none" || reducedMotion.matches) return;
  target.dataset.flash = direction;
  flashing.set(target, performance.now() + DURATION);
  timer ||= setInterval(end, STEP);
}

function end() {
  const now = performance.now();
  for (const [target, until] of flashing) {
    if (until > now) continue;
    delete target.dataset.flash;
    flashing.delete(target);
  }
  if (flashing.size === 0) {
    clearInterval(timer);
    timer = 0;
  }
}
