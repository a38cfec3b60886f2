// What a visitor chose for this browser: favourites, columns, density, theme, time zone. All tabs share it.

/**
 * @typedef {object} Preferences
 * @property {string[]} favourites keys of pairs
 * @property {string[]} hidden ids of columns
 * @property {"comfortable" | "compact"} density
 * @property {"auto" | "dark" | "light"} theme
 * @property {"local" | "utc"} zone
 */

const NAME = "live-crypto-prices";

/** @type {(() => void)[]} */
const listeners = [];

/** Whether the last choice was stored; if not, what is stored is older than `preferences`. */
let isStored = true;

/** @type {Preferences} */
export const preferences = {
  favourites: [],
  hidden: [],
  density: "comfortable",
  theme: "auto",
  zone: "local",
  ...stored(),
};

/** @returns {Partial<Preferences>} */
function stored() {
  try {
    return JSON.parse(localStorage.getItem(NAME) ?? "{}");
  } catch {
    // Storage is forbidden, or its value is not JSON, which the next choice overwrites.
    return {};
  }
}

/** Changes some preferences and stores all. @param {Partial<Omit<Preferences, "favourites" | "hidden">>} changes */
export function prefer(changes) {
  change(() => changes);
}

/**
 * Adds an item to a list of the preferences, or removes it.
 * @param {"favourites" | "hidden"} name @param {string} item @param {boolean} isIn
 */
export function choose(name, item, isIn) {
  if (item === "") return;
  change((latest) => {
    const others = latest[name].filter((each) => each !== item);
    return { [name]: isIn ? [...others, item] : others };
  });
}

/** Adds a pair to the favourites, or removes it if it is one. @param {string} key of a pair */
export function toggleFavourite(key) {
  choose("favourites", key, !preferences.favourites.includes(key));
}

/** Calls `listener` after each choice, in this tab or in another one. @param {() => void} listener */
export function onChoice(listener) {
  listeners.push(listener);
}

/** Another tab stored its choices. @param {StorageEvent} event */
export function storedElsewhere({ key }) {
  if (key !== NAME) return;
  Object.assign(preferences, stored());
  for (const each of listeners) each();
}

/** @param {(latest: Preferences) => Partial<Preferences>} changed */
function change(changed) {
  // Another tab may have stored its choices since; only this change is added to them.
  if (isStored) Object.assign(preferences, stored());
  Object.assign(preferences, changed(preferences));
  try {
    localStorage.setItem(NAME, JSON.stringify(preferences));
    isStored = true;
  } catch {
    // Storage is forbidden or full: the choices last until the page is closed.
    isStored = false;
  }
  for (const each of listeners) each();
}
