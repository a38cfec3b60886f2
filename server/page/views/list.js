// A view besides the markets: it works only while it is visible.

export class List {
  section;
  shell;
  isVisible = false;
  #filters = "";
  #readAt = Number.NEGATIVE_INFINITY;
  #interval;

  /** @param {HTMLElement} section @param {import("../shell.js").Shell} shell @param {number} interval milliseconds between two calls of `refresh` */
  constructor(section, shell, interval) {
    this.section = section;
    this.shell = shell;
    this.#interval = interval;
  }

  /**
   * Shows or hides the list. It is drawn again only if it was hidden or the filters changed: during a pause, its content
   * must stay.
   * @param {boolean} isVisible
   */
  setVisible(isVisible) {
    const { quotes, exchanges } = this.shell.place;
    const filters = JSON.stringify([quotes, exchanges]);
    const isOther = !this.isVisible || filters !== this.#filters;
    this.section.hidden = !isVisible;
    this.isVisible = isVisible;
    this.#filters = filters;
    if (isOther) this.replaced();
  }

  /** What the view shows may have changed: refresh it now. */
  replaced() {
    this.#readAt = Number.NEGATIVE_INFINITY;
    this.tick();
  }

  /** Refreshes the view if that is due. */
  tick() {
    if (!this.isVisible || performance.now() - this.#readAt < this.#interval) return;
    this.#readAt = performance.now();
    this.refresh();
  }

  /** Draws the view again. A view overrides it. */
  refresh() {}
}
