// Candles for the chart. Functions are pure. Amounts become numbers here: a chart draws pixels.

/**
 * An item of /api/candles.
 * @typedef {object} Candle
 * @property {string} start
 * @property {string} open
 * @property {string} high
 * @property {string} low
 * @property {string} close
 * @property {"updates" | "exchange" | "both"} source
 * @property {boolean} closed
 */

/** @typedef {{ time: number, open: number, high: number, low: number, close: number }} Bar `time` in seconds */

/** A time without tickers, in milliseconds; `to` is now if it is ongoing. @typedef {{ from: number, to: number }} Gap */

/**
 * Returns the gaps of interruptions. One whose end was not reported, because its extractor ended, lasts until the next begins.
 * @param {{ from: string, to: string | null }[]} interruptions @param {number} now in milliseconds @returns {Gap[]}
 */
export function gapsOf(interruptions, now) {
  const sorted = [...interruptions].sort((a, b) => Date.parse(a.from) - Date.parse(b.from));
  return sorted.map(({ from, to }, number) => {
    const end = to ?? sorted[number + 1]?.from;
    return { from: Date.parse(from), to: end === undefined ? now : Date.parse(end) };
  });
}

/** Share of a candle that an interruption must cover to be shaded: a day is not shaded for ten seconds. */
const SHADED_SHARE = 0.1;

const SECONDS = { m: 60, h: 3600, d: 86_400 };

/** "15m" → 900. @param {string} interval */
export function secondsOf(interval) {
  return Number(interval.slice(0, -1)) * SECONDS[/** @type {"m"} */ (interval.slice(-1))];
}

/** @param {Candle} candle @returns {Bar} */
export function bar({ start, open, high, low, close }) {
  return {
    time: Date.parse(start) / 1000,
    open: Number(open),
    high: Number(high),
    low: Number(low),
    close: Number(close),
  };
}

/**
 * Returns the running bar after a price: the last one with the price in it, or a new one; null if the price is
 * older than the last bar.
 * @param {Bar | undefined} last @param {number} price @param {number} time in milliseconds @param {number} width in seconds
 * @returns {Bar | null}
 */
export function withPrice(last, price, time, width) {
  const start = Math.floor(time / 1000 / width) * width;
  if (!last || start > last.time) {
    return { time: start, open: price, high: price, low: price, close: price };
  }
  if (start < last.time) return null;
  return {
    ...last,
    high: Math.max(last.high, price),
    low: Math.min(last.low, price),
    close: price,
  };
}

/**
 * Returns the starts, in seconds, of the candles of which a single interruption covers a tenth or more.
 * @param {Gap[]} gaps @param {number} first start of the first candle, in seconds
 * @param {number} last start of the last candle @param {number} width in seconds
 */
export function shadedTimes(gaps, first, last, width) {
  /** @type {Set<number>} */
  const shaded = new Set();
  for (const gap of gaps) {
    const from = Math.max(first, Math.floor(gap.from / 1000 / width) * width);
    for (let start = from; start <= last && start * 1000 < gap.to; start += width) {
      const end = start + width;
      const covered = Math.min(end, gap.to / 1000) - Math.max(start, gap.from / 1000);
      if (covered >= SHADED_SHARE * width) shaded.add(start);
    }
  }
  return [...shaded].sort((a, b) => a - b);
}
