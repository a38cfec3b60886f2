// The candles of one exchange in a chart, and what draws them.

import { get, pathOf } from "../api.js";
import { bar, withPrice } from "../model/candles.js";
import { readAll } from "./history.js";

/** @import { Side } from "../types.js" */
/** @import { Bar, Candle } from "../model/candles.js" */

export class Series {
  /** @type {Bar[]} oldest first */
  bars = [];
  exchange;
  #side;
  #interval;
  #drawn;
  /** @type {Map<number, Candle>} exact amounts by time */
  #candles = new Map();
  /** Start of the newest candle that was read as closed: later ones may have changed since. */
  #settled = "";

  /** @param {Side} side @param {string} interval @param {any} drawn */
  constructor(side, interval, drawn) {
    this.exchange = side.exchange;
    this.#side = side;
    this.#interval = interval;
    this.#drawn = drawn;
  }

  /**
   * Resolves to null if the server does not answer: that says nothing about the candles.
   * @param {Record<string, string>} parameters
   * @returns {Promise<{ candles: Candle[], next: string | null } | null>}
   */
  read = (parameters) =>
    get(`candles/${pathOf(this.#side)}`, { interval: this.#interval, ...parameters });

  /**
   * Reads the candles that may have changed, from the newest closed one on: no price reaches the chart while
   * the tab is hidden, the page is paused or the stream is lost. Resolves to whether no request failed.
   * @param {string} first start of the first candle, ISO 8601, if none was read as closed
   * @param {() => boolean} isShown whether the series is still drawn
   */
  refresh(first, isShown) {
    const read = async (/** @type {Record<string, string>} */ parameters) =>
      isShown() ? this.read(parameters) : null;
    return readAll(read, this.#settled || first, (candles) => {
      if (isShown()) this.merge(candles);
    });
  }

  /** Adds candles, which replace those of the same time. @param {Candle[]} candles */
  merge(candles) {
    if (candles.length === 0) return;
    const bars = new Map(this.bars.map((each) => [each.time, each]));
    for (const candle of candles) {
      const added = bar(candle);
      bars.set(added.time, added);
      this.#candles.set(added.time, candle);
      if (candle.closed && candle.start > this.#settled) this.#settled = candle.start;
    }
    this.bars = [...bars.values()].sort((a, b) => a.time - b.time);
    this.#drawn.setData(this.bars.map(drawable));
  }

  /** @param {Side} side @param {number} width */
  live(side, width) {
    const last = this.bars[this.bars.length - 1];
    const running = withPrice(last, Number(side.price.price), side.receivedAt, width);
    if (running === null) return;
    if (last?.time === running.time) {
      // The candle that was read is still exact.
      if (last.close === running.close) return;
      this.bars.pop();
    }
    // The price has moved on from the candle that was read.
    this.#candles.delete(running.time);
    this.bars.push(running);
    this.#drawn.update(drawable(running));
  }

  /**
   * Returns the candle of a time, or the newest that was read if `time` is undefined; null if there is none.
   * @param {number | undefined} time in seconds
   */
  candleAt(time) {
    const wanted = time ?? this.bars.findLast((each) => this.#candles.has(each.time))?.time;
    return (wanted !== undefined && this.#candles.get(wanted)) || null;
  }
}

/** A line takes `value`, candles take the rest. @param {Bar} each */
function drawable(each) {
  return { ...each, value: each.close };
}
