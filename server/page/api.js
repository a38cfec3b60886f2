// Requests to the REST API.

import { setClock } from "./clock.js";

/** Milliseconds after which a request counts as not answered. */
const LIMIT = 20_000;

/**
 * Resolves to the answer's JSON, or to null if the server does not answer or answers with an error: the
 * page goes on without what it asked for.
 * @param {string} path below /api, such as "feeds"
 * @param {Record<string, string>} [parameters]
 * @returns {Promise<any>}
 */
export async function get(path, parameters = {}) {
  try {
    const answer = await fetch(address(path, parameters), { signal: AbortSignal.timeout(LIMIT) });
    // Responses are small and have a connection of their own: they are prompt even while the stream lags. The header
    // is up to a second old, which setClock takes for time in transit.
    setClock(answer.headers.get("date") ?? "");
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/** @param {string} path @param {Record<string, string>} [parameters] */
export function address(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return new URL(`api/${path}${query ? `?${query}` : ""}`, document.baseURI).href;
}

/** The path of a symbol: a symbol may contain any character. @param {{ exchange: string, symbol: string }} listing */
export function pathOf({ exchange, symbol }) {
  return `${exchange}/${encodeURIComponent(symbol)}`;
}
