// Hold back prices while the page is paused. Only the newest price of each symbol is kept.

import { listingKey } from "./model/market.js";

/** @import { Price } from "./types.js" */

export class Held {
  isPaused = false;
  #isSnapshot = false;
  /** @type {Map<string, Price>} */
  #prices = new Map();

  /** Takes prices that arrived during the pause. @param {Price[]} prices @param {boolean} isSnapshot */
  add(prices, isSnapshot) {
    if (isSnapshot) {
      this.#prices.clear();
      this.#isSnapshot = true;
    }
    for (const price of prices) this.#prices.set(listingKey(price), price);
  }

  /** Returns what was held, and whether it replaces all earlier prices. */
  take() {
    const taken = { prices: [...this.#prices.values()], isSnapshot: this.#isSnapshot };
    this.#prices.clear();
    this.#isSnapshot = false;
    return taken;
  }
}
