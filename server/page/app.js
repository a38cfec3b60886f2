// Entry point of the page: connect the stream, the address and the views.

import { get } from "./api.js";
import { now } from "./clock.js";
import { find, set, write } from "./dom.js";
import { addExchanges, setExchanges } from "./exchanges.js";
import { clockTime, moment } from "./format.js";
import { Held } from "./held.js";
import { waitForAccess } from "./key.js";
import { listenToKeys } from "./keys.js";
import { pairKey } from "./model/market.js";
import { onChoice, preferences, storedElsewhere } from "./preferences.js";
import { Shell } from "./shell.js";
import { follow } from "./stream.js";
import { showUnreadable } from "./unreadable.js";
import { Compare } from "./views/compare.js";
import { Feeds } from "./views/feeds.js";
import { Markets } from "./views/markets.js";
import { Movers } from "./views/movers.js";
import { Options } from "./views/options.js";
import { Panel } from "./views/panel.js";
import { Status } from "./views/status.js";

/** @import { Price } from "./types.js" */
/** @import { Place } from "./model/address.js" */

const TITLE = document.title;
const LISTS_LIMIT = 2000;
const FEEDS_INTERVAL = 30_000;
const DAYS_INTERVAL = 5 * 60_000;

const connection = find("#connection");
const banner = find("#unreadable");
const pauses = document.querySelectorAll(".pause");
const key = find("#key");

const held = new Held();
/** @type {Shell} */
const shell = new Shell(show);
const markets = new Markets(shell);
const panel = new Panel(shell);
const feeds = new Feeds(find("#feeds"), shell);
const options = new Options(shell, () => markets.content);
const lists = {
  compare: new Compare(find("#compare"), shell),
  movers: new Movers(find("#movers"), shell),
  status: new Status(find("#status"), shell),
};

/** @type {Set<string>} keys of pairs that changed since the last frame */
let changed = new Set();
let frame = 0;
let hasSnapshot = false;
let hasInstruments = false;
/** Number of times that the instruments may have changed. */
let listings = 0;
/** Whether something was replaced that is not drawn yet, because the page is paused. */
let isOld = false;

/** Shows the shell's place. @param {Place} place @param {Place} before */
function show(place, before) {
  find("#markets").hidden = shell.list !== "markets";
  for (const [name, view] of Object.entries(lists)) view.setVisible(shell.list === name);
  for (const link of document.querySelectorAll("nav a")) {
    const isCurrent = /** @type {HTMLElement} */ (link).dataset.view === shell.list;
    set(link, "aria-current", isCurrent ? "page" : null);
  }
  markets.show();
  panel.show();
  if (place.search !== before.search || place.sort !== before.sort) markets.scrollToTop();
  if (before.view === "pair" && place.view !== "pair") {
    markets.focusPair(pairKey(before.base, before.quote));
  }
  showTitle();
}

/** @param {Price[]} prices @param {boolean} isSnapshot whether they replace all earlier prices */
function receive(prices, isSnapshot) {
  if (held.isPaused) held.add(prices, isSnapshot);
  else if (isSnapshot) receiveSnapshot(prices);
  else {
    const updated = shell.market.update(prices);
    for (const each of updated.changed) changed.add(each);
    if (updated.isNew) replaced();
    if (frame === 0) frame = requestAnimationFrame(render);
    // A hidden tab has no frames, but a title.
    if (document.hidden) showTitle();
  }
}

/** @param {Price[]} prices */
function receiveSnapshot(prices) {
  addExchanges(prices);
  shell.market.replace(prices);
  replaced();
  // The server also sends a snapshot when the instruments changed.
  if (hasSnapshot) {
    listings += 1;
    hasInstruments = false;
    loadInstruments();
  }
  hasSnapshot = true;
  loadDays();
}

function render() {
  frame = 0;
  const keys = changed;
  changed = new Set();
  if (shell.list === "markets") markets.changed(keys);
  panel.changed(keys);
  showTitle();
}

/** Pairs, exchanges or last days were replaced. */
function replaced() {
  isOld = held.isPaused;
  if (isOld) return;
  shell.forgetRates();
  markets.replaced();
  panel.replaced();
  updateFeeds();
  for (const list of Object.values(lists)) list.replaced();
  showTitle();
}

/** Updates the ages of the feeds, except during a pause: they are frozen then, as the prices are. */
function updateFeeds() {
  if (!held.isPaused) feeds.update();
}

async function loadFeeds() {
  const answer = await get("feeds", { limit: "0" });
  if (!answer) return;
  const isChanged = setExchanges(answer.feeds);
  feeds.load(answer.feeds);
  updateFeeds();
  if (!hasSnapshot) return;
  if (isChanged) replaced();
  // The last attempt failed, or is not answered yet.
  if (!hasInstruments) loadInstruments();
}

async function loadInstruments() {
  const wanted = listings;
  const answer = await get("instruments");
  // An answer that was under way when they changed may be old.
  if (!answer || wanted !== listings) return;
  hasInstruments = true;
  shell.market.setInstruments(answer.instruments);
  if (hasSnapshot) replaced();
}

async function loadDays() {
  const answer = await get("last-day");
  if (!answer) return;
  shell.market.setDays(answer.days);
  if (hasSnapshot) replaced();
}

function tick() {
  if (!held.isPaused) {
    if (shell.list === "markets") markets.tick();
    panel.tick();
    feeds.update();
    for (const list of Object.values(lists)) list.tick();
    // The price in the title may have grown old.
    showTitle();
  }
  write(
    find("#time"),
    `${clockTime(now(), preferences.zone)} ${preferences.zone === "utc" ? "UTC" : ""}`.trim(),
  );
}

/** The price of the open pair is in the title while it is live, so it can be read in another tab. */
function showTitle() {
  const isLive = document.documentElement.dataset.connection === "live" && !held.isPaused;
  const text = panel.headline(isLive);
  const title = text ? `${text} · ${TITLE}` : TITLE;
  if (document.title !== title) document.title = title;
}

function togglePause() {
  held.isPaused = !held.isPaused;
  for (const button of pauses) {
    set(button, "aria-pressed", String(held.isPaused));
    write(button, held.isPaused ? "Resume" : "Pause");
  }
  set(document.documentElement, "data-paused", held.isPaused ? "true" : null);
  showTitle();
  if (held.isPaused) return;
  const { prices, isSnapshot } = held.take();
  receive(prices, isSnapshot);
  if (isOld) replaced();
}

/** Shows what was chosen, here or in another tab. */
function showChoices() {
  options.apply();
  markets.show();
  panel.show();
  if (shell.list === "status") lists.status.replaced();
  tick();
}

options.apply();
onChoice(showChoices);
addEventListener("storage", storedElsewhere);
show(shell.place, shell.place);
for (const button of pauses) button.addEventListener("click", togglePause);
listenToKeys({ shell, markets, togglePause });

await waitForAccess(key);
// The stream begins while the lists are read; its first prices wait for the names of their pairs, but not
// for long: without Postgres, the lists may not come, and the prices do.
const names = Promise.all([loadFeeds(), loadInstruments()]);
const limit = new Promise((resolve) => setTimeout(resolve, LISTS_LIMIT));
let queue = Promise.race([names, limit]).then(() => show(shell.place, shell.place));
const stream = follow({
  snapshot(prices) {
    queue = queue.then(() => receive(prices, true));
  },
  changes(prices) {
    queue = queue.then(() => receive(prices, false));
  },
  unreadable(exchanges) {
    queue = queue.then(() => showUnreadable(banner, exchanges));
  },
  state(name, since) {
    set(connection, "data-state", name);
    // Prices are grey unless they are live.
    set(document.documentElement, "data-connection", name);
    showTitle();
    // Written only when it changes, because screen readers announce it.
    write(
      connection,
      name === "away" && since
        ? `Postgres unavailable since ${moment(since, now(), preferences.zone)}`
        : name,
    );
    // The server may have restarted with another key.
    if (name === "reconnecting") reconnectWithKey();
  },
});

async function reconnectWithKey() {
  if (await waitForAccess(key)) stream.reconnect();
}

setInterval(tick, 1000);
setInterval(loadFeeds, FEEDS_INTERVAL);
setInterval(loadDays, DAYS_INTERVAL);
