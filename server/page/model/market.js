// The prices of all pairs, as the stream, the instruments and the last day report them.

/** @import { Price, Instrument, Day, Side, Pair } from "../types.js" */

const TRADING = "TRADING";

/** Returns a key of a symbol of an exchange. @param {{ exchange: string, symbol: string }} listing */
export function listingKey({ exchange, symbol }) {
  return `${exchange} ${symbol}`;
}

export class Market {
  /** @type {Map<string, Pair>} */
  pairs = new Map();
  /** @type {Map<string, { pair: Pair, side: Side }>} */
  #listings = new Map();
  /** @type {Map<string, Instrument>} */
  #instruments = new Map();
  /** @type {Map<string, Day>} */
  #days = new Map();
  /** @type {Map<string, number>} most decimals by pair; kept when a snapshot replaces the pairs */
  #places = new Map();

  /** Replaces all prices: symbols that the new ones lack are removed. @param {Price[]} prices */
  replace(prices) {
    this.pairs = new Map();
    this.#listings.clear();
    for (const price of prices) this.#add(price);
  }

  /**
   * Stores changed prices. Returns the keys of their pairs, and whether one of the symbols is new.
   * @param {Price[]} prices
   */
  update(prices) {
    /** @type {Set<string>} */
    const changed = new Set();
    let isNew = false;
    for (const price of prices) {
      let listing = this.#listings.get(listingKey(price));
      if (listing) {
        setPrice(listing.side, price);
        this.#keepPlaces(listing.pair, price);
      } else {
        listing = this.#add(price);
        isNew = true;
      }
      changed.add(listing.pair.key);
    }
    return { changed, isNew };
  }

  /** Sets base, quote and status of all symbols. @param {Instrument[]} instruments */
  setInstruments(instruments) {
    this.#instruments = new Map(instruments.map((each) => [listingKey(each), each]));
    this.replace([...this.#listings.values()].map(({ side }) => side.price));
  }

  /** Sets the last day of all symbols. @param {Day[]} days */
  setDays(days) {
    this.#days = new Map(days.map((each) => [listingKey(each), each]));
    for (const [name, { side }] of this.#listings) side.day = this.#days.get(name) ?? null;
  }

  /** @param {Price} price */
  #add(price) {
    const name = listingKey(price);
    const instrument = this.#instruments.get(name);
    const base = instrument?.base ?? price.symbol;
    const quote = instrument?.quote ?? "";
    const key = pairKey(base, quote);
    let pair = this.pairs.get(key);
    if (!pair) {
      pair = { key, base, quote, sides: new Map(), places: this.#places.get(key) ?? 0 };
      this.pairs.set(key, pair);
    }
    /** @type {Side} */
    const side = {
      exchange: price.exchange,
      symbol: price.symbol,
      status: instrument?.status ?? null,
      price,
      day: this.#days.get(name) ?? null,
      receivedAt: 0,
      tradedAt: 0,
    };
    setPrice(side, price);
    this.#keepPlaces(pair, price);
    // An exchange may list a pair again under another symbol: the one that trades is shown.
    if (pair.sides.get(price.exchange)?.status !== TRADING) pair.sides.set(price.exchange, side);
    const listing = { pair, side };
    this.#listings.set(name, listing);
    return listing;
  }

  /** @param {Pair} pair @param {Price} price */
  #keepPlaces(pair, price) {
    for (const amount of [price.price, price.bid, price.ask]) {
      const point = amount === null ? -1 : amount.indexOf(".");
      const places = point < 0 || amount === null ? 0 : amount.length - point - 1;
      if (places > pair.places) {
        pair.places = places;
        this.#places.set(pair.key, places);
      }
    }
  }
}

/** "BTC", "USDT" → "BTC/USDT". @param {string} base @param {string} quote */
export function pairKey(base, quote) {
  return quote === "" ? base : `${base}/${quote}`;
}

/** @param {Side} side @param {Price} price */
function setPrice(side, price) {
  side.price = price;
  side.receivedAt = Date.parse(price.received_at);
  side.tradedAt = price.traded_at ? Date.parse(price.traded_at) : side.receivedAt;
}
