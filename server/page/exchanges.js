// The exchanges and their titles, in the server's order.

/** @import { Exchange, Price } from "./types.js" */

/** @type {Exchange[]} */
export const exchanges = [];

/** "kucoin" → "KuCoin". @param {string} name */
export function title(name) {
  return exchanges.find((each) => each.name === name)?.title ?? name;
}

/**
 * Sets the exchanges from /api/feeds, and returns whether that changed anything.
 * @param {{ exchange: string, title: string }[]} feeds
 */
export function setExchanges(feeds) {
  const named = feeds.map((feed) => ({ name: feed.exchange, title: feed.title }));
  const isChanged = JSON.stringify(named) !== JSON.stringify(exchanges);
  exchanges.splice(0, exchanges.length, ...named);
  return isChanged;
}

/** Adds the exchanges of prices that came before /api/feeds answered: it needs Postgres. @param {Price[]} prices */
export function addExchanges(prices) {
  const known = new Set(exchanges.map(({ name }) => name));
  for (const { exchange } of prices) {
    if (known.has(exchange)) continue;
    known.add(exchange);
    exchanges.push({ name: exchange, title: exchange });
  }
}
