// The cells of the table, by kind of column. `create` fills an empty cell; `update` writes only what changed.

import { linePoints, sparkline } from "../chart/sparkline.js";
import { element, set, write } from "../dom.js";
import { title } from "../exchanges.js";
import { age, direction, percent, points, rounded } from "../format.js";
import { amount, split } from "../model/digits.js";
import {
  bookSide,
  change,
  difference,
  isHalted,
  isOld,
  mainSide,
  sidesOn,
  spread,
  volume,
  volumeInUsdt,
} from "../model/figures.js";
import { flash } from "./flash.js";

/** @import { Pair, Side } from "../types.js" */
/** @import { Column, Context } from "../model/columns.js" */

/**
 * @typedef {object} Cell
 * @property {(cell: HTMLElement) => void} [create]
 * @property {(cell: any, pair: Pair, context: Context, column: Column, isNew: boolean) => void} update
 * `isNew` if the cell showed another pair before
 */

/** Why a figure is marked. */
export const FROM_CANDLES =
  "computed from the candles of the last 24 full hours, because its ticker lacks this figure";

/** @type {Record<string, Cell>} */
export const CELLS = {
  price: {
    create(cell) {
      cell.append(element("span"), element("span", { class: "moved" }));
    },
    update(cell, pair, context, column, isNew) {
      const side = pair.sides.get(column.exchange);
      const text = side ? amount(side.price.price, pair.places) : "";
      staleness(cell, side, context);
      set(cell, "title", side ? hintOf(side, text) : null);
      const before = cell.textContent;
      if (isNew) delete cell.lastChild.dataset.flash;
      if (text === before) return;
      const [same, moved] = split(isNew ? "" : before, text);
      write(cell.firstChild, same);
      write(cell.lastChild, moved);
      const price = Number(side?.price.price ?? 0);
      if (!isNew && before !== "") flash(cell.lastChild, direction(price - cell.value));
      cell.value = price;
    },
  },
  age: {
    update(cell, pair, context, column) {
      const side = pair.sides.get(column.exchange);
      write(cell, side ? age(context.now - side.receivedAt) : "");
      staleness(cell, side, context);
    },
  },
  difference: {
    update(cell, pair, context) {
      const found = difference(pair, context.exchanges, context.now);
      write(cell, found ? points(found.points) : "");
      set(cell, "title", found && orderText(found));
    },
  },
  change: {
    update(cell, pair, context) {
      const side = mainSide(pair, context.exchanges, context.rates);
      const found = side && change(side);
      write(cell, found ? percent(found.percent) : "");
      set(cell, "data-direction", direction(found?.percent ?? 0));
      marked(cell, side, found);
    },
  },
  day: {
    create(cell) {
      cell.append(sparkline());
    },
    update(cell, pair, context) {
      const side = mainSide(pair, context.exchanges, context.rates);
      const day = side?.day ?? null;
      set(cell, "data-direction", direction((side && change(side)?.percent) ?? 0));
      if (cell.day === day) return;
      cell.day = day;
      set(cell.firstChild.firstChild, "points", day ? linePoints(day.closes) : "");
    },
  },
  bid: bookCell("bid"),
  ask: bookCell("ask"),
  spread: {
    update(cell, pair, context) {
      const found = spread(bookSide(pair, context.exchanges));
      write(cell, found === null ? "" : points(found));
    },
  },
  turnover: {
    create(cell) {
      cell.append(element("span"), " ", element("small"));
    },
    update(cell, pair, context) {
      const side = mainSide(pair, context.exchanges, context.rates);
      const found = side && volume(side);
      write(cell.firstChild, found ? rounded(Number(found.text)) : "");
      write(cell.lastChild, found ? pair.quote : "");
      marked(cell, side, found);
    },
  },
  volume: {
    update(cell, pair, context) {
      const side = mainSide(pair, context.exchanges, context.rates);
      const found = side && volumeInUsdt(pair, side, context.rates);
      write(cell, found === null ? "" : rounded(found));
      marked(cell, side, found === null ? null : side && volume(side));
    },
  },
};

/** @param {"bid" | "ask"} name @returns {Cell} */
function bookCell(name) {
  return {
    update(cell, pair, context) {
      const side = bookSide(pair, context.exchanges);
      const text = side?.price[name];
      write(cell, text ? amount(text, pair.places) : "");
      set(
        cell,
        "title",
        side ? `${name === "bid" ? "Bid" : "Ask"} on ${title(side.exchange)}` : null,
      );
      staleness(cell, side, context);
    },
  };
}

/** @param {Element} cell @param {Side | null | undefined} side @param {Context} context */
function staleness(cell, side, { now }) {
  set(cell, "data-stale", side && isOld(side, now) ? "true" : null);
}

/** @param {{ highest: string, lowest: string }} found */
function orderText({ highest, lowest }) {
  return highest === lowest
    ? "All have the same price"
    : `${title(highest)} is above ${title(lowest)}`;
}

/** @param {Side} side @param {string} text */
function hintOf(side, text) {
  const state = isHalted(side) ? `, ${side.status?.toLowerCase()}` : "";
  return `${text} on ${title(side.exchange)}${state}`;
}

/**
 * Says which exchange a figure is of, and marks one that is from candles.
 * @param {Element} cell @param {Side | null} side @param {{ fromCandles: boolean } | null} found
 */
function marked(cell, side, found) {
  const text = side && found ? title(side.exchange) : null;
  set(cell, "title", text && (found?.fromCandles ? `${text}, ${FROM_CANDLES}` : text));
  set(cell, "data-candles", found?.fromCandles ? "true" : null);
}

/** Returns the row's text of a column for a file. @param {Pair} pair @param {Column} column @param {Context} context */
export function plainText(pair, column, context) {
  const side = sidesOn(pair, [column.exchange])[0];
  if (column.kind === "price") return side?.price.price ?? "";
  if (column.kind === "bid") return bookSide(pair, context.exchanges)?.price.bid ?? "";
  if (column.kind === "ask") return bookSide(pair, context.exchanges)?.price.ask ?? "";
  if (column.kind === "turnover") {
    const main = mainSide(pair, context.exchanges, context.rates);
    return (main && volume(main)?.text) ?? "";
  }
  return String(column.value(pair, context) ?? "");
}
