// The columns of the table: what they are called, what they sort by, and how wide they are.

import {
  bookSide,
  change,
  difference,
  mainSide,
  sidesOn,
  spread,
  volumeInUsdt,
} from "./figures.js";

/** @import { Pair, Exchange } from "../types.js" */
/** @import { Rates } from "./figures.js" */

/**
 * What the figures of a pair depend on besides the pair.
 * @typedef {object} Context
 * @property {string[]} exchanges shown, in the server's order
 * @property {Rates} rates
 * @property {number} now the server's time in milliseconds
 */

/**
 * @typedef {object} Column
 * @property {string} id
 * @property {string} kind the id without its exchange
 * @property {string} exchange its exchange if each exchange has such a column, otherwise ""
 * @property {string} label
 * @property {string} hint what the column shows, in a few words
 * @property {number} width minimum width in pixels
 * @property {number} rank columns of a higher rank leave a narrow table first
 * @property {(pair: Pair, context: Context) => number | string | null} value to sort by; also exported, unless plainText has a case for the kind
 */

/**
 * Returns all columns of these exchanges, in the order of the table.
 * @param {Exchange[]} exchanges
 * @returns {Column[]}
 */
export function columnsOf(exchanges) {
  return [
    column("pair", "Pair", "Base and quote", 112, 0, (pair) => pair.key),
    ...exchanges.flatMap(sideColumns),
    column(
      "difference",
      "Diff bp",
      "Difference of the prices, in basis points (0.01 %)",
      74,
      4,
      (pair, context) => difference(pair, context.exchanges, context.now)?.points ?? null,
    ),
    column("change", "24 h", "Change in 24 hours", 92, 1, (pair, context) =>
      onMain(pair, context, (side) => change(side)?.percent ?? null),
    ),
    column("day", "Last day", "Hourly closes of the last 24 hours", 112, 6, (pair, context) =>
      onMain(pair, context, (side) => change(side)?.percent ?? null),
    ),
    column("bid", "Bid", "Best bid of the exchange that sends one", 112, 9, (pair, context) =>
      number(bookSide(pair, context.exchanges)?.price.bid),
    ),
    column("ask", "Ask", "Best ask of the exchange that sends one", 112, 10, (pair, context) =>
      number(bookSide(pair, context.exchanges)?.price.ask),
    ),
    column("spread", "Spread bp", "Ask less bid, in basis points", 86, 7, (pair, context) =>
      spread(bookSide(pair, context.exchanges)),
    ),
    column(
      "turnover",
      "Volume",
      "24-hour volume on one exchange, in the quote currency",
      108,
      8,
      (pair, context) => onMain(pair, context, (side) => volumeInUsdt(pair, side, context.rates)),
    ),
    column(
      "volume",
      "Vol USDT",
      "24-hour volume on one exchange, in USDT",
      84,
      3,
      (pair, context) => onMain(pair, context, (side) => volumeInUsdt(pair, side, context.rates)),
    ),
  ];
}

/**
 * The fraction of a rank lets the columns of later exchanges leave first.
 * @param {Exchange} exchange @param {number} position
 */
function sideColumns({ name, title }, position) {
  /** @param {Pair} pair */
  const sideOf = (pair) => sidesOn(pair, [name])[0];
  return [
    column(`price:${name}`, title, `Price on ${title}`, 112, 2 + position / 10, (pair) =>
      number(sideOf(pair)?.price.price),
    ),
    column(
      `age:${name}`,
      "Age",
      `Age of the price on ${title}`,
      54,
      5 + position / 10,
      (pair, { now }) => {
        const side = sideOf(pair);
        return side ? now - side.receivedAt : null;
      },
    ),
  ];
}

/**
 * @param {string} id @param {string} label @param {string} hint @param {number} width @param {number} rank
 * @param {Column["value"]} value
 * @returns {Column}
 */
function column(id, label, hint, width, rank, value) {
  const [kind, exchange = ""] = id.split(":");
  return { id, kind, exchange, label, hint, width, rank, value };
}

/** @param {string | null | undefined} text */
function number(text) {
  return text === null || text === undefined ? null : Number(text);
}

/**
 * @template T
 * @param {Pair} pair @param {Context} context @param {(side: import("../types.js").Side) => T} figure
 */
function onMain(pair, { exchanges, rates }, figure) {
  const side = mainSide(pair, exchanges, rates);
  return side === null ? null : figure(side);
}

/**
 * Returns the columns that fit into a width: those of the highest rank leave first.
 * @param {Column[]} columns @param {number} width
 */
export function fitting(columns, width) {
  const kept = new Set(columns);
  let total = columns.reduce((sum, each) => sum + each.width, 0);
  for (const each of [...columns].sort((a, b) => b.rank - a.rank)) {
    if (total <= width || kept.size === 1) break;
    kept.delete(each);
    total -= each.width;
  }
  return columns.filter((each) => kept.has(each));
}
