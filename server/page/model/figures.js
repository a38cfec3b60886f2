// Figures of a pair that are computed from its sides. Functions are pure. The views round
// the results for display; the amounts themselves stay text.

/** @import { Pair, Side } from "../types.js" */
/** @typedef {Map<string, number>} Rates price of a quote in USDT, by quote */

/** Milliseconds after which a price is grey, and is not compared. */
export const STALE_AFTER = 60_000;

/** Relative difference above which two prices probably belong to two coins, as in /api/compare. */
const PROBABLY_TWO_COINS = 0.2;

const BASIS_POINTS = 10_000;

/** Returns the pair's sides on these exchanges, in their order. @param {Pair} pair @param {string[]} exchanges */
export function sidesOn(pair, exchanges) {
  /** @type {Side[]} */
  const sides = [];
  for (const exchange of exchanges) {
    const side = pair.sides.get(exchange);
    if (side) sides.push(side);
  }
  return sides;
}

/** Returns whether no price of the symbol arrived lately. @param {Side} side @param {number} now */
export function isStale(side, now) {
  return now - side.receivedAt > STALE_AFTER;
}

/** @param {Side} side */
export function isHalted(side) {
  return side.status !== null && side.status !== "TRADING";
}

/** Returns whether the price is shown in grey: stale or halted. @param {Side} side @param {number} now */
export function isOld(side, now) {
  return isStale(side, now) || isHalted(side);
}

/**
 * Returns the change from the price of 24 hours ago in percent, and whether that price is from candles
 * (the exchange's ticker has none); null without one.
 * @param {Side} side
 */
export function change(side) {
  const fromTicker = side.price.open_24h;
  const open = Number(fromTicker ?? side.day?.open ?? 0);
  if (!(open > 0)) return null;
  return {
    percent: (100 * (Number(side.price.price) - open)) / open,
    fromCandles: fromTicker === null,
  };
}

/**
 * Returns the volume of the last 24 hours in the quote, and whether it is from candles; null without one.
 * @param {Side} side
 */
export function volume(side) {
  const fromTicker = side.price.quote_volume_24h;
  const text = fromTicker ?? side.day?.quote_volume ?? null;
  return text === null ? null : { text, fromCandles: fromTicker === null };
}

/** Returns that volume in USDT, or null. @param {Pair} pair @param {Side} side @param {Rates} rates */
export function volumeInUsdt(pair, side, rates) {
  const rate = rates.get(pair.quote);
  const amount = volume(side);
  return rate === undefined || amount === null ? null : Number(amount.text) * rate;
}

/**
 * Returns the side whose change, volume and sparkline are shown for the pair. A side whose ticker has a
 * 24-hour volume precedes one that has only candles; otherwise the largest volume in USDT decides.
 * A halted side counts only if all are. Rolling volumes of two exchanges are never added: they cover different trades of different moments.
 * @param {Pair} pair @param {string[]} exchanges @param {Rates} rates
 * @returns {Side | null}
 */
export function mainSide(pair, exchanges, rates) {
  /** @type {Side | null} */
  let main = null;
  let largest = -1;
  let hasTicker = false;
  const sides = sidesOn(pair, exchanges);
  const trading = sides.filter((side) => !isHalted(side));
  for (const side of trading.length > 0 ? trading : sides) {
    const traded = volumeInUsdt(pair, side, rates) ?? 0;
    const isTicker = side.price.quote_volume_24h !== null;
    if (isTicker === hasTicker ? traded > largest : isTicker) {
      [main, largest, hasTicker] = [side, traded, isTicker];
    }
  }
  return main;
}

/** Returns the first side that has bid and ask, or null. @param {Pair} pair @param {string[]} exchanges */
export function bookSide(pair, exchanges) {
  return sidesOn(pair, exchanges).find(({ price }) => price.bid && price.ask) ?? null;
}

/** Returns (ask - bid) / middle in basis points, or null. @param {Side | null} side */
export function spread(side) {
  const bid = Number(side?.price.bid ?? 0);
  const ask = Number(side?.price.ask ?? 0);
  return bid > 0 && ask > 0 ? (BASIS_POINTS * 2 * (ask - bid)) / (ask + bid) : null;
}

/**
 * Returns the difference between the highest and the lowest price in basis points, and their exchanges; null
 * unless at least two exchanges trade the pair with fresh prices that probably belong to the same coin. Like
 * /api/compare, it counts the age from the last trade where the exchange sends its time.
 * @param {Pair} pair @param {string[]} exchanges @param {number} now
 */
export function difference(pair, exchanges, now) {
  const sides = sidesOn(pair, exchanges).filter(
    (side) => !isHalted(side) && now - side.tradedAt <= STALE_AFTER,
  );
  if (sides.length < 2) return null;
  let [lowest, highest] = [sides[0], sides[0]];
  for (const side of sides) {
    if (Number(side.price.price) < Number(lowest.price.price)) lowest = side;
    if (Number(side.price.price) > Number(highest.price.price)) highest = side;
  }
  const low = Number(lowest.price.price);
  const ratio = low > 0 ? (Number(highest.price.price) - low) / low : Number.POSITIVE_INFINITY;
  if (ratio > PROBABLY_TWO_COINS) return null;
  return { points: BASIS_POINTS * ratio, highest: highest.exchange, lowest: lowest.exchange };
}

/** Returns whether every shown price of the pair is stale. @param {Pair} pair @param {string[]} exchanges @param {number} now */
export function isAllStale(pair, exchanges, now) {
  return sidesOn(pair, exchanges).every((side) => isStale(side, now));
}

/**
 * Returns the price in USDT of each quote that has a price against USDT or, failing that, against BTC.
 * @param {Map<string, Pair>} pairs
 * @returns {Rates}
 */
export function usdtRates(pairs) {
  const rates = new Map([["USDT", 1]]);
  for (const { quote } of pairs.values()) {
    if (rates.has(quote)) continue;
    const rate = rateOf(pairs, quote, "USDT") ?? viaBitcoin(pairs, quote);
    if (rate !== null) rates.set(quote, rate);
  }
  return rates;
}

/** @param {Map<string, Pair>} pairs @param {string} quote */
function viaBitcoin(pairs, quote) {
  const inBitcoin = rateOf(pairs, quote, "BTC");
  const bitcoin = rateOf(pairs, "BTC", "USDT");
  return inBitcoin === null || bitcoin === null ? null : inBitcoin * bitcoin;
}

/** Returns the price of `of` in `unit` on any exchange, or null. @param {Map<string, Pair>} pairs @param {string} of @param {string} unit */
function rateOf(pairs, of, unit) {
  const direct = anyPrice(pairs.get(`${of}/${unit}`));
  if (direct !== null) return direct;
  const inverse = anyPrice(pairs.get(`${unit}/${of}`));
  return inverse === null ? null : 1 / inverse;
}

/** @param {Pair | undefined} pair */
function anyPrice(pair) {
  for (const side of pair?.sides.values() ?? []) {
    const price = Number(side.price.price);
    if (price > 0) return price;
  }
  return null;
}
