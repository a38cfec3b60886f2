// Search pairs by text. Functions are pure.

/** @import { Pair } from "../types.js" */

// Whatever separates the parts of a symbol: "BTC-USDT", "btc_usdt", "BTC:USDT", "btc usdt", "btc*".
const SEPARATORS = /[^\p{L}\p{N}]+/u;

/** "btc_usdt*" → ["BTC", "USDT"]. @param {string} text */
export function words(text) {
  return text
    .toUpperCase()
    .split(SEPARATORS)
    .filter((word) => word !== "");
}

/**
 * Returns how well a pair matches the words: 0 if one of them is the base or if there are none, 1 if the base begins
 * with one, 2 if the base contains one, 3 if they match otherwise; null unless all words are in the pair's name,
 * or all in one of its symbols.
 * @param {Pair} pair
 * @param {string[]} searched as `words` returns them
 */
export function relevance(pair, searched) {
  if (searched.length === 0) return 0;
  const base = pair.base.toUpperCase();
  const names = [join(`${pair.base}${pair.quote}`)];
  for (const { symbol } of pair.sides.values()) names.push(join(symbol));
  if (!names.some((name) => searched.every((word) => name.includes(word)))) return null;
  if (searched.includes(base)) return 0;
  if (searched.some((word) => base.startsWith(word))) return 1;
  return searched.some((word) => base.includes(word)) ? 2 : 3;
}

/** "BTC-USDT" → "BTCUSDT". @param {string} text */
function join(text) {
  return words(text).join("");
}
