// The table of prices. Only the first matching rows are in the document; "Show more" adds others.

import { now } from "./clock.js";
import { matches, ordered } from "./order.js";
import { Row } from "./row.js";

const STEP = 100;

export class Table {
  #body;
  #shown;
  #prices = new Map(); // key → price, in the order of the table
  #rows = new Map(); // key → Row, only rows in the document
  #changed = new Set(); // keys changed since the last frame
  #filter = { exchange: "", search: "" };
  #limit = STEP;
  #mustOrder = false;
  #mustChoose = false;
  #frame = null;

  /** `body` is the tbody. `shown({rows, matching})` gets the number of rows and of matching prices. */
  constructor(body, shown) {
    this.#body = body;
    this.#shown = shown;
  }

  replace(prices) {
    this.#prices.clear();
    this.#changed.clear();
    // Symbols that the new prices lack must leave the document.
    this.#mustOrder = true;
    this.update(prices);
  }

  update(prices) {
    for (const price of prices) {
      const key = `${price.exchange} ${price.symbol}`;
      this.#mustOrder ||= !this.#prices.has(key);
      this.#prices.set(key, price);
      this.#changed.add(key);
    }
    this.#schedule();
  }

  /** `filter` has `exchange` or `search`; the other one is kept. */
  filter(filter) {
    Object.assign(this.#filter, filter);
    this.#limit = STEP;
    this.#mustChoose = true;
    this.#schedule();
  }

  showMore() {
    this.#limit += STEP;
    this.#mustChoose = true;
    this.#schedule();
  }

  updateAge() {
    for (const row of this.#rows.values()) row.updateAge(now());
  }

  #schedule() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.#render();
    });
  }

  #render() {
    for (const key of this.#changed) this.#rows.get(key)?.update(this.#prices.get(key));
    this.#changed.clear();
    if (this.#mustOrder) this.#order();
    if (this.#mustChoose) this.#choose();
  }

  #order() {
    this.#prices = new Map(ordered([...this.#prices]));
    this.#mustOrder = false;
    this.#mustChoose = true;
  }

  #choose() {
    const { exchange, search } = this.#filter;
    const matching = [...this.#prices].filter(([, price]) => matches(price, exchange, search));
    const chosen = matching.slice(0, this.#limit);
    this.#rows = new Map(
      chosen.map(([key, price]) => [key, this.#rows.get(key) ?? new Row(price)]),
    );
    this.#body.replaceChildren(...[...this.#rows.values()].map((row) => row.element));
    this.updateAge();
    this.#shown({ rows: chosen.length, matching: matching.length });
    this.#mustChoose = false;
  }
}
