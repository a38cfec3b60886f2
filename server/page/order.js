// Filter and sort prices. Functions are pure.

// Whatever separates the parts of a symbol: "BTC-USDT", "btc_usdt", "BTC:USDT", "btc usdt".
const SEPARATORS = /[^\p{L}\p{N}]+/u;

// The most popular pairs come first; all others follow by name.
const FIRST = ["BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "TRX", "LINK", "AVAX", "LTC"];
const RANKS = new Map(FIRST.map((base, rank) => [`${base}USDT`, rank]));

/** BTC-USDT → BTCUSDT, so a pair sorts together on all exchanges and one search finds it on each. */
function name(text) {
  return words(text).join("");
}

function words(text) {
  return text.toUpperCase().split(SEPARATORS);
}

/** Returns the [key, price] pairs, sorted. */
export function ordered(entries) {
  return entries
    .map((entry) => ({ entry, name: name(entry[1].symbol), exchange: entry[1].exchange }))
    .sort((a, b) => rank(a) - rank(b) || compare(a.name, b.name) || compare(a.exchange, b.exchange))
    .map(({ entry }) => entry);
}

/** Returns whether a price is of the exchange ("" for all) and its symbol contains each searched word. */
export function matches(price, exchange, search) {
  if (exchange && price.exchange !== exchange) return false;
  const symbol = name(price.symbol);
  return words(search).every((word) => symbol.includes(word));
}

function rank(pair) {
  return RANKS.get(pair.name) ?? FIRST.length;
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
