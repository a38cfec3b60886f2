// What the page shows, as the hash of its address: "#/?quote=USDT&sort=-change", "#/pair/BTC/USDT".
// Functions are pure.

/**
 * @typedef {object} Place
 * @property {"markets" | "compare" | "movers" | "status" | "pair"} view
 * @property {string} base of the pair in the panel, or ""
 * @property {string} quote the same
 * @property {string} search
 * @property {string[]} exchanges shown; none for all
 * @property {string[]} quotes shown; none for all
 * @property {boolean} favourites whether only they are shown
 * @property {string} sort a column, after "-" if the largest comes first
 * @property {string} interval of the chart's candles
 * @property {string} candles the exchange whose prices are candles, or "" for the pair's main one
 */

export const DEFAULT_SORT = "-volume";
export const INTERVALS = ["1m", "5m", "15m", "1h", "4h", "1d"];
export const DEFAULT_INTERVAL = "15m";

const VIEWS = /** @type {const} */ (["compare", "movers", "status"]);

/**
 * Returns the place of a hash. An address may be of another version: unknown views, intervals and parameters
 * are ignored. An unknown sort column is kept; order.js then uses the first one.
 * @param {string} hash
 * @returns {Place}
 */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [head, ...rest] = path.split("/").map(decoded);
  const parameters = new URLSearchParams(query);
  const isPair = head === "pair" && Boolean(rest[0]);
  const interval = parameters.get("interval") ?? "";
  return {
    view: isPair ? "pair" : (VIEWS.find((view) => view === head) ?? "markets"),
    base: isPair ? rest[0] : "",
    quote: isPair ? (rest[1] ?? "") : "",
    search: parameters.get("q") ?? "",
    exchanges: list(parameters.get("exchange")),
    quotes: list(parameters.get("quote")),
    favourites: parameters.has("favourites"),
    sort: parameters.get("sort") || DEFAULT_SORT,
    interval: INTERVALS.includes(interval) ? interval : DEFAULT_INTERVAL,
    candles: parameters.get("candles") ?? "",
  };
}

/** Returns the hash of a place, without the parts that have their default. @param {Place} place */
export function format(place) {
  const query = [
    ["q", place.search],
    ["exchange", place.exchanges.join(",")],
    ["quote", place.quotes.join(",")],
    ["favourites", place.favourites ? "1" : ""],
    ["sort", place.sort === DEFAULT_SORT ? "" : place.sort],
    ["interval", place.interval === DEFAULT_INTERVAL ? "" : place.interval],
    ["candles", place.candles],
  ]
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`);
  return `#/${path(place)}${query.length ? `?${query.join("&")}` : ""}`;
}

/** @param {Place} place */
function path({ view, base, quote }) {
  if (view === "markets") return "";
  if (view !== "pair") return view;
  return ["pair", base, ...(quote ? [quote] : [])].map(encodeURIComponent).join("/");
}

/** @param {string | null} text */
function list(text) {
  return (text ?? "").split(",").filter((each) => each !== "");
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
