// Which prices are shown, and in which order. Pure.

// Pairs that people look for first; all others follow by name.
const FIRST = ["BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "TRX", "LINK", "AVAX", "LTC"];
const RANKS = new Map(FIRST.map((base, rank) => [`${base}USDT`, rank]));

/** BTC-USDT → BTCUSDT: the pairs of both exchanges stand side by side, and one search finds both. */
function name(text) {
  return text.replace(/[-/\s]/g, "").toUpperCase();
}

/** [key, price] pairs, sorted. */
export function ordered(entries) {
  return entries
    .map((entry) => ({ entry, name: name(entry[1].symbol), exchange: entry[1].exchange }))
    .sort((a, b) => rank(a) - rank(b) || compare(a.name, b.name) || compare(a.exchange, b.exchange))
    .map(({ entry }) => entry);
}

/** Whether a price is of the exchange ("" for all) and has the searched text in its symbol. */
export function matches(price, exchange, search) {
  return (!exchange || price.exchange === exchange) && name(price.symbol).includes(name(search));
}

function rank(pair) {
  return RANKS.get(pair.name) ?? FIRST.length;
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
