// A view besides the markets: it works only while it is visible.

export class List {
  section;
  shell;
  isVisible = false;
  #readAt = Number.NEGATIVE_INFINITY;
  #interval;

  /** @param {HTMLElement} section @param {import("../shell.js").Shell} shell @param {number} interval milliseconds between two calls of `refresh` */
  constructor(section, shell, interval) {
    this.section = section;
    this.shell = shell;
    this.#interval = interval;
  }

  /** @param {boolean} isVisible */
  setVisible(isVisible) {
    this.section.hidden = !isVisible;
    this.isVisible = isVisible;
    if (isVisible) this.replaced();
  }

  /** What the view shows may have changed: refresh it now. */
  replaced() {
    this.#readAt = Number.NEGATIVE_INFINITY;
    this.tick();
  }

  tick() {
    if (!this.isVisible || performance.now() - this.#readAt < this.#interval) return;
    this.#readAt = performance.now();
    this.refresh();
  }

  /** Draws the view again. A view overrides it. */
  refresh() {}
}
