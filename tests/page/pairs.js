// Prices, instruments and pairs for the tests of the page's models.

import { Market } from "../../server/page/model/market.js";

export const NOW = Date.parse("2026-11-27T12:00:00Z");

/** Returns a price that arrived `age` milliseconds before NOW. */
export function price(exchange, symbol, amount, { age = 0, ...fields } = {}) {
  return {
    exchange,
    symbol,
    price: amount,
    bid: null,
    ask: null,
    open_24h: null,
    quote_volume_24h: null,
    traded_at: null,
    received_at: new Date(NOW - age).toISOString(),
    ...fields,
  };
}

export function instrument(exchange, symbol, base, quote, status = "TRADING") {
  return { exchange, symbol, base, quote, status };
}

/** Returns a last day with these fields; the others are null, and `closes` is empty. */
export function day(exchange, symbol, fields) {
  const none = { open: null, high: null, low: null, base_volume: null, quote_volume: null };
  return { exchange, symbol, closes: [], ...none, ...fields };
}

/**
 * Returns a market with these prices. `names` maps "binance BTCUSDT" to "BTC/USDT"; `status` maps it to its
 * status (default "TRADING").
 */
export function market(prices, names, status) {
  const created = new Market();
  created.setInstruments(
    Object.entries(names).map(([listing, name]) => {
      const [exchange, symbol] = listing.split(" ");
      return instrument(exchange, symbol, ...name.split("/"), status?.[listing]);
    }),
  );
  created.replace(prices);
  return created;
}

/** Returns a market with one price per pair, all on Binance. */
export function marketOf(names, fields = () => ({})) {
  const symbols = names.map((name) => name.replace("/", ""));
  return market(
    symbols.map((symbol, number) => price("binance", symbol, "1", fields(names[number]))),
    Object.fromEntries(symbols.map((symbol, number) => [`binance ${symbol}`, names[number]])),
  );
}
