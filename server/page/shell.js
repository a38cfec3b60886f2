// What all views share: the place that the address names, the market, and how to go elsewhere.

import { now } from "./clock.js";
import { exchanges } from "./exchanges.js";
import { format, parse } from "./model/address.js";
import { usdtRates } from "./model/figures.js";
import { Market } from "./model/market.js";

/** @import { Place } from "./model/address.js" */
/** @import { Context } from "./model/columns.js" */

/** Milliseconds. The rates change slowly, and computing them reads all pairs. */
const RATES_LIFETIME = 5000;

export class Shell {
  exchanges = exchanges;
  market = new Market();
  place = parse(location.hash);
  /** The view that is shown, with or without a pair's panel. @type {Place["view"]} */
  list = this.place.view === "pair" ? "markets" : this.place.view;
  #rates = usdtRates(new Map());
  #ratesAt = Number.NEGATIVE_INFINITY;
  #shown;

  /** @param {(place: Place, before: Place) => void} shown is called with each new place */
  constructor(shown) {
    this.#shown = shown;
    addEventListener("hashchange", () => this.#read());
  }

  /**
   * Goes to the place with these changes.
   * @param {Partial<Place>} changes
   * @param {{ replace?: boolean }} [how] `replace` adds no entry to the history
   */
  go(changes, { replace = false } = {}) {
    const hash = format({ ...this.place, ...changes });
    if (hash === format(this.place)) return;
    // Do not set location.hash: its event comes later, and the caller may need the new view at once.
    if (replace) history.replaceState(null, "", hash);
    else history.pushState(null, "", hash);
    this.#read();
  }

  /** Closes the panel. */
  close() {
    this.go({ view: this.list, base: "", quote: "" });
  }

  /** @param {{ base: string, quote: string }} pair */
  pairAddress({ base, quote }) {
    return format({ ...this.place, view: "pair", base, quote });
  }

  /** What the figures of a pair depend on. @returns {Context} */
  context() {
    if (performance.now() - this.#ratesAt > RATES_LIFETIME) {
      this.#rates = usdtRates(this.market.pairs);
      this.#ratesAt = performance.now();
    }
    const chosen = this.chosenExchanges();
    const exchanges = chosen.length ? chosen : this.exchanges.map(({ name }) => name);
    return { exchanges, rates: this.#rates, now: now() };
  }

  /** Exchanges of the address that the server has; none means all. @returns {string[]} */
  chosenExchanges() {
    const names = this.exchanges.map(({ name }) => name);
    return names.filter((name) => this.place.exchanges.includes(name));
  }

  /** Makes the next context() compute the rates again. Call it after the pairs were replaced. */
  forgetRates() {
    this.#ratesAt = Number.NEGATIVE_INFINITY;
  }

  #read() {
    const before = this.place;
    this.place = parse(location.hash);
    if (this.place.view !== "pair") this.list = this.place.view;
    this.#shown(this.place, before);
  }
}
