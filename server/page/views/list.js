// Base class of the views Compare, Movers and Status: a view is refreshed only while it is visible.

import { get } from "../api.js";

export class List {
  section;
  shell;
  isVisible = false;
  #filters = "";
  #readAt = Number.NEGATIVE_INFINITY;
  #interval;
  #requests = 0;
  #answered = 0;

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

  /**
   * Resolves to the answer of the REST API as `get` does, or to undefined if a later request of this view was answered
   * before it: what is shown must not become older.
   * @param {string} path @param {Record<string, string>} [parameters]
   * @returns {Promise<any>}
   */
  async read(path, parameters) {
    this.#requests += 1;
    const request = this.#requests;
    const answer = await get(path, parameters);
    if (request < this.#answered) return undefined;
    this.#answered = request;
    return answer;
  }

  /** Draws the view again. A view overrides it. */
  refresh() {}
}
