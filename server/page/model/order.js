// Choose and sort the rows of the table. Functions are pure.

import { DEFAULT_SORT } from "./address.js";
import { sidesOn } from "./figures.js";
import { relevance, words } from "./search.js";

/** Number of quotes with a chip of their own (default). */
const QUOTE_CHIPS = 8;

/** @import { Pair } from "../types.js" */
/** @import { Column, Context } from "./columns.js" */
/** @import { Place } from "./address.js" */

/**
 * Returns the pairs that a place shows, in its order. A pair without a value comes last, in either direction.
 * With the default sort, a search lists the matches of the base first.
 * @param {Iterable<Pair>} pairs
 * @param {Place} place
 * @param {Column[]} columns
 * @param {Context} context
 * @param {Set<string>} favourites keys of pairs
 */
export function chosen(pairs, place, columns, context, favourites) {
  const searched = words(place.search);
  const quotes = new Set(place.quotes);
  const descending = place.sort.startsWith("-");
  const id = descending ? place.sort.slice(1) : place.sort;
  const { value } = columns.find((each) => each.id === id) ?? columns[0];
  const volume = columns.find((each) => each.id === "volume")?.value ?? value;
  const isRanked = searched.length > 0 && place.sort === DEFAULT_SORT;

  /** @type {{ pair: Pair, rank: number, value: number | string | null, volume: number | string | null }[]} */
  const rows = [];
  for (const pair of pairs) {
    if (quotes.size > 0 && !quotes.has(pair.quote)) continue;
    if (place.favourites && !favourites.has(pair.key)) continue;
    if (sidesOn(pair, context.exchanges).length === 0) continue;
    const rank = relevance(pair, searched);
    if (rank === null) continue;
    rows.push({
      pair,
      rank: isRanked ? rank : 0,
      value: value(pair, context),
      volume: volume(pair, context),
    });
  }
  rows.sort(
    (a, b) =>
      a.rank - b.rank ||
      compare(a.value, b.value, descending) ||
      compare(a.volume, b.volume, true) ||
      compare(a.pair.key, b.pair.key, false),
  );
  return rows.map(({ pair }) => pair);
}

/**
 * Returns the pairs in the order of earlier ones, so that no row moves; new pairs follow.
 * @param {Pair[]} pairs @param {Pair[]} earlier
 */
export function inOrderOf(pairs, earlier) {
  const places = new Map(earlier.map(({ key }, index) => [key, index]));
  const place = (/** @type {Pair} */ { key }) => places.get(key) ?? earlier.length;
  return [...pairs].sort((a, b) => place(a) - place(b));
}

/** @param {number | string | null} a @param {number | string | null} b @param {boolean} descending */
function compare(a, b, descending) {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  return (a < b ? -1 : 1) * (descending ? -1 : 1);
}

/** Returns the quotes of the pairs, those of the most pairs first. @param {Iterable<Pair>} pairs */
export function quotesOf(pairs) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { quote } of pairs) {
    if (quote !== "") counts.set(quote, (counts.get(quote) ?? 0) + 1);
  }
  return [...counts]
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .map(([quote]) => quote);
}

/**
 * Returns the quotes with a chip of their own: the first ones, and those that are chosen, so that each can be released.
 * @param {string[]} quotes in the order of `quotesOf`
 * @param {string[]} chosen
 */
export function quotesWithChip(quotes, chosen, count = QUOTE_CHIPS) {
  return [...new Set([...quotes.slice(0, count), ...chosen])];
}
