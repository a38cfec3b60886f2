// The card of one exchange: number of symbols, age of the newest price, and whether it is simulated.

import { age } from "./format.js";

const LATE = 15_000;

export class Card {
  #card;
  #symbols = new Set();
  #newest = null;

  constructor(card) {
    this.#card = card;
  }

  replace(prices) {
    this.#symbols.clear();
    this.#newest = null;
    this.update(prices);
  }

  update(prices) {
    for (const price of prices) {
      this.#symbols.add(price.symbol);
      // All times have the same format, so they can be compared as text.
      if (this.#newest === null || price.received_at >= this.#newest.received_at) {
        this.#newest = price;
      }
    }
    const count = this.#symbols.size;
    this.#card.querySelector(".count").textContent = `${count} symbol${count === 1 ? "" : "s"}`;
    this.#card.querySelector(".badge").hidden = !this.#newest?.simulated;
  }

  updateAge(now) {
    if (this.#newest === null) return;
    const milliseconds = now - Date.parse(this.#newest.received_at);
    this.#card.querySelector(".age").textContent = `newest ${age(milliseconds)} ago`;
    this.#card.dataset.late = milliseconds > LATE;
  }
}
