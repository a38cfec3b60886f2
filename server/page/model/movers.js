// The pairs that moved most, and those of the largest volume. Functions are pure.

import { change, isOld, mainSide, volumeInUsdt } from "./figures.js";

/** @import { Pair } from "../types.js" */
/** @import { Context } from "./columns.js" */

/** Volume in USDT from which a pair counts: a coin that hardly trades moves by any amount. */
export const LEAST_VOLUME = 10_000;

/** @typedef {{ pair: Pair, exchange: string, price: string, percent: number, volume: number }} Mover */

/**
 * Returns gainers, losers and the largest volumes, up to `count` each.
 * @param {Iterable<Pair>} pairs @param {string[]} quotes none for all @param {Context} context @param {number} count
 */
export function movers(pairs, quotes, context, count) {
  /** @type {Mover[]} */
  const all = [];
  for (const pair of pairs) {
    if (quotes.length > 0 && !quotes.includes(pair.quote)) continue;
    const side = mainSide(pair, context.exchanges, context.rates);
    if (side === null || isOld(side, context.now)) continue;
    const moved = change(side);
    const volume = volumeInUsdt(pair, side, context.rates);
    if (moved === null || volume === null || volume < LEAST_VOLUME) continue;
    all.push({
      pair,
      exchange: side.exchange,
      price: side.price.price,
      percent: moved.percent,
      volume,
    });
  }
  const byChange = [...all].sort((a, b) => b.percent - a.percent);
  return {
    gainers: byChange.filter(({ percent }) => percent > 0).slice(0, count),
    losers: byChange
      .filter(({ percent }) => percent < 0)
      .reverse()
      .slice(0, count),
    volumes: all.sort((a, b) => b.volume - a.volume).slice(0, count),
  };
}
