// Filter and sort prices. Functions are pure.

// The most popular pairs come first; all others follow by name.
const FIRST = ["BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "TRX", "LINK", "AVAX", "LTC"];
const RANKS = new Map(FIRST.map((base, rank) => [`${base}USDT`, rank]));

/** BTC-USDT → BTCUSDT, so a pair sorts together on all exchanges and one search finds it on each. */
function name(text) {
  return text.replace(/[-/\s]/g, "").toUpperCase();
}

/** Returns the [key, price] pairs, sorted. */
export function ordered(entries) {
  return entries
    .map((entry) => ({ entry, name: name(entry[1].symbol), exchange: entry[1].exchange }))
    .sort((a, b) => rank(a) - rank(b) || compare(a.name, b.name) || compare(a.exchange, b.exchange))
    .map(({ entry }) => entry);
}

/** Returns whether a price is of the exchange ("" for all) and its symbol contains the search text. */
export function matches(price, exchange, search) {
  return (!exchange || price.exchange === exchange) && name(price.symbol).includes(name(search));
}

function rank(pair) {
  return RANKS.get(pair.name) ?? FIRST.length;
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
