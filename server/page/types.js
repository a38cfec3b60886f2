// Types that several modules share. This file has no code: tsc reads its comments.

/**
 * A row of the stream. Amounts are exact text; times are ISO 8601.
 * @typedef {object} Price
 * @property {string} exchange
 * @property {string} symbol
 * @property {string} price
 * @property {string | null} bid
 * @property {string | null} ask
 * @property {string | null} open_24h
 * @property {string | null} quote_volume_24h
 * @property {string | null} traded_at
 * @property {string} received_at
 */

/**
 * One item of /api/instruments.
 * @typedef {object} Instrument
 * @property {string} exchange
 * @property {string} symbol
 * @property {string} base
 * @property {string} quote
 * @property {string} status
 */

/**
 * One item of /api/last-day: the last 24 full hours of a symbol, made of hourly candles.
 * @typedef {object} Day
 * @property {string} exchange
 * @property {string} symbol
 * @property {string | null} open
 * @property {string | null} high
 * @property {string | null} low
 * @property {string | null} base_volume
 * @property {string | null} quote_volume
 * @property {(string | null)[]} closes
 */

/**
 * A pair on one exchange.
 * @typedef {object} Side
 * @property {string} exchange
 * @property {string} symbol
 * @property {string | null} status "TRADING", another status, or null if the exchange does not list it
 * @property {Price} price
 * @property {Day | null} day
 * @property {number} receivedAt milliseconds since the epoch
 * @property {number} tradedAt the same for the last trade; `receivedAt` if the exchange does not say
 */

/**
 * A base and a quote, on one exchange or several.
 * @typedef {object} Pair
 * @property {string} key "BTC/USDT"
 * @property {string} base
 * @property {string} quote "" if no exchange lists the symbol; then `base` is the symbol
 * @property {Map<string, Side>} sides by exchange
 * @property {number} places the most decimals that its prices have had so far
 */

/** @typedef {{ name: string, title: string }} Exchange */

export {};
