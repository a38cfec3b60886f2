// Choose the spans of candles to request. The server returns the oldest candles of a span first. A feed may have been
// interrupted for any length of time, so a span without a candle does not mean that there are no older ones.

/** @import { Candle } from "../model/candles.js" */

/** Candles of a page, if none is missing. */
export const PAGE = 500;
/** Maximum number of candles in an answer. */
const LIMIT = 1000;
/** No candle is older, in milliseconds since the epoch: there was nothing to trade. */
const BEGINNING = Date.parse("2009-01-01T00:00:00Z");

/**
 * Requests candles of one series; resolves to null if the request failed.
 * @callback Read
 * @param {Record<string, string>} parameters
 * @returns {Promise<{ candles: Candle[], next: string | null } | null>}
 */

/**
 * Reads the page of candles before `until` for all series. If no series has a candle in it, reads the newest
 * page before the gap instead. Resolves to null if a request failed. `from` of the result is the next
 * `until`: every candle from then on was read. It is null if no series has an older one.
 * @param {Read[]} reads one for each series
 * @param {number | null} until in milliseconds; null for the newest page
 * @param {number} now in milliseconds @param {number} width of a candle, in milliseconds
 * @returns {Promise<{ pages: Candle[][], from: number | null } | null>}
 */
export async function earlier(reads, until, now, width) {
  const end = until ?? (Math.floor(now / width) + 1) * width;
  const from = end - PAGE * width;
  // The newest page has no end: the server's clock decides which candle is running.
  const pages = await readPages(reads, from, until);
  if (pages === null) return null;
  if (pages.some((page) => page.length > 0)) return { pages, from };
  const span = await beforeGap(reads, from, width);
  if (span === null) return null;
  if (span.to === span.from) return { pages, from: null };
  const older = await readPages(reads, span.from, span.to);
  return older && { pages: older, from: span.from };
}

/**
 * Reads all candles from `from` on, page by page. Resolves to whether no request failed.
 * @param {Read} read @param {string} from ISO 8601 @param {(page: Candle[]) => void} found
 */
export async function readAll(read, from, found) {
  /** @type {string | null} */
  let next = from;
  while (next !== null) {
    const answer = await read({ from: next, limit: String(LIMIT) });
    if (answer === null) return false;
    found(answer.candles);
    next = answer.next;
  }
  return true;
}

/** @param {Read[]} reads @param {number} from @param {number | null} to */
async function readPages(reads, from, to) {
  const answers = await Promise.all(
    reads.map((read) => read({ ...span(from, to), limit: String(LIMIT) })),
  );
  const pages = answers.flatMap((answer) => (answer === null ? [] : [answer.candles]));
  return pages.length === reads.length ? pages : null;
}

/**
 * Returns the span of a page with the newest candle older than `until`; an empty one if there is none, and null if a
 * request failed. Longer and longer spans are searched for any candle, then halved.
 * @param {Read[]} reads @param {number} until @param {number} width
 */
async function beforeGap(reads, until, width) {
  const beginning = Math.ceil(BEGINNING / width) * width;
  // Most often there is nothing older, and one request says so.
  const oldest = await oldestIn(reads, beginning, until);
  if (oldest === null) return null;
  let [from, to] = [until, until];
  if (oldest === until) return { from, to };
  for (let length = PAGE * width; oldest < from; length *= 4) {
    [from, to] = [Math.max(oldest, from - length), from];
    const first = await oldestIn(reads, from, to);
    if (first === null) return null;
    if (first < to) break;
  }
  while (to - from > PAGE * width) {
    const middle = from + Math.floor((to - from) / width / 2) * width;
    const first = await oldestIn(reads, middle, to);
    if (first === null) return null;
    if (first < to) from = middle;
    else to = middle;
  }
  return { from: to - PAGE * width, to };
}

/**
 * Returns the start of the oldest candle of any series in a span; the span's end if it has none, and null if a request
 * failed.
 * @param {Read[]} reads @param {number} from @param {number} to
 */
async function oldestIn(reads, from, to) {
  if (from >= to) return to;
  const answers = await Promise.all(reads.map((read) => read({ ...span(from, to), limit: "1" })));
  if (answers.includes(null)) return null;
  return Math.min(to, ...answers.map((answer) => startOf(answer?.candles[0]) ?? to));
}

/** @param {Candle | undefined} candle */
function startOf(candle) {
  return candle && Date.parse(candle.start);
}

/** @param {number} from @param {number | null} to */
function span(from, to) {
  return {
    from: new Date(from).toISOString(),
    ...(to === null ? {} : { to: new Date(to).toISOString() }),
  };
}
