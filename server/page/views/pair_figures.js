// The figures of a pair, one column per exchange.

import { element, find, reconcile, set, write } from "../dom.js";
import { title } from "../exchanges.js";
import { age, percent, points, rounded } from "../format.js";
import { amount } from "../model/digits.js";
import { change, difference, isOld, spread, volume } from "../model/figures.js";
import { FROM_CANDLES } from "./cells.js";

/** @import { Pair, Side } from "../types.js" */
/** @import { Context } from "../model/columns.js" */

/** Fields of /api/prices that the stream lacks. @typedef {Record<string, any>} Details */

/** @type {[string, (side: Side, details: Details, places: number, context: Context, pair: Pair) => string][]} */
const ROWS = [
  ["Price", ({ price }, _, places) => amount(price.price, places)],
  ["24 h change", (side) => figure(change(side), ({ percent: number }) => percent(number))],
  ["24 h high", (side, { high_24h }, places) => marked(high_24h, reached(side, 1), places)],
  ["24 h low", (side, { low_24h }, places) => marked(low_24h, reached(side, -1), places)],
  [
    "24 h volume",
    (side, _, __, ___, { quote }) =>
      figure(volume(side), ({ text }) => `${rounded(Number(text))} ${quote}`),
  ],
  ["Bid", ({ price }, { bid_size }, places) => level(price.bid, bid_size, places)],
  ["Ask", ({ price }, { ask_size }, places) => level(price.ask, ask_size, places)],
  ["Spread", (side) => basisPoints(spread(side))],
  ["Last trade", (side, _, __, { now }) => (side.price.traded_at ? age(now - side.tradedAt) : "")],
  ["Received", (side, _, __, { now }) => age(now - side.receivedAt)],
  ["Status", (side) => side.status?.toLowerCase() ?? "not listed"],
  ["Symbol", (side) => side.symbol],
];

export class PairFigures {
  #head = element("tr");
  #body = element("tbody");
  #difference = element("p", { class: "difference" });
  /** @type {Map<string, Details>} by exchange */
  #details = new Map();
  element = element(
    "section",
    { "aria-label": "Figures" },
    element("table", { class: "figures" }, element("thead", {}, this.#head), this.#body),
    this.#difference,
    element("p", { class: "hint" }, `* ${FROM_CANDLES}`),
  );

  /** Forgets the details of another pair. */
  clear() {
    this.#details.clear();
    this.#body.replaceChildren();
  }

  /** @param {Details} price a row of /api/prices */
  setDetails(price) {
    this.#details.set(price.exchange, price);
  }

  /** @param {Pair} pair @param {Side[]} sides @param {Context} context */
  update(pair, sides, context) {
    reconcile(this.#head, ["", ...sides.map(({ exchange }) => exchange)], {
      key: (exchange) => exchange,
      create: (exchange) =>
        exchange
          ? element("th", { scope: "col" }, title(exchange))
          : element("td", {}, element("span", { class: "hidden" }, "Figure")),
      update: (cell, exchange) => {
        if (exchange) write(cell, title(exchange));
      },
    });
    reconcile(this.#body, ROWS, {
      key: ([label]) => label,
      create: ([label]) => element("tr", {}, element("th", { scope: "row" }, label)),
      update: (row, [, textOf]) => {
        for (const [number, side] of sides.entries()) {
          const cell = row.children[number + 1] ?? row.appendChild(element("td"));
          const details = this.#details.get(side.exchange) ?? {};
          write(cell, textOf(side, details, pair.places, context, pair));
          set(cell, "data-stale", isOld(side, context.now) ? "true" : null);
        }
        while (row.children.length > sides.length + 1) row.lastElementChild.remove();
      },
    });
    const names = sides.map(({ exchange }) => exchange);
    const found = difference(pair, names, context.now);
    write(this.#difference, found ? differenceText(found) : "");
    find(".hint", this.element).hidden = !this.#body.textContent.includes("*");
  }
}

/**
 * Returns the high (1) or the low (-1) of the last day, or the price if it is beyond: the running hour is
 * not in the last day.
 * @param {Side} side @param {1 | -1} sign
 */
function reached({ day, price }, sign) {
  const found = (sign === 1 ? day?.high : day?.low) ?? null;
  return found !== null && sign * (Number(price.price) - Number(found)) > 0 ? price.price : found;
}

/** @param {{ points: number, highest: string, lowest: string }} found */
function differenceText({ points: number, highest, lowest }) {
  return highest === lowest
    ? "All have the same price."
    : `${title(highest)} is ${points(number)} bp above ${title(lowest)}.`;
}

/**
 * @template {{ fromCandles: boolean }} T
 * @param {T | null} found @param {(found: T) => string} format
 */
function figure(found, format) {
  return found === null ? "" : format(found) + (found.fromCandles ? " *" : "");
}

/** @param {string | null | undefined} own @param {string | null | undefined} ofCandles @param {number} places */
function marked(own, ofCandles, places) {
  if (own) return amount(own, places);
  return ofCandles ? `${amount(ofCandles, places)} *` : "";
}

/** @param {string | null} price @param {string | null | undefined} size @param {number} places */
function level(price, size, places) {
  if (!price) return "";
  return size ? `${amount(price, places)} × ${amount(size)}` : amount(price, places);
}

/** @param {number | null} number */
function basisPoints(number) {
  return number === null ? "" : `${points(number)} bp`;
}
