// What a visitor chose for this browser: favourites, columns, density, theme, time zone.

/**
 * @typedef {object} Preferences
 * @property {string[]} favourites keys of pairs
 * @property {string[]} hidden ids of columns
 * @property {"comfortable" | "compact"} density
 * @property {"auto" | "dark" | "light"} theme
 * @property {"local" | "utc"} zone
 */

const NAME = "live-crypto-prices";

/** @type {Preferences} */
const DEFAULTS = {
  favourites: [],
  hidden: [],
  density: "comfortable",
  theme: "auto",
  zone: "local",
};

/** @returns {Preferences} */
function stored() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(NAME) ?? "{}") };
  } catch {
    // Storage is forbidden, or has something else: the choices last until the page is closed.
    return { ...DEFAULTS };
  }
}

export const preferences = stored();

/** Changes some preferences and stores all. @param {Partial<Preferences>} changes */
export function prefer(changes) {
  Object.assign(preferences, changes);
  try {
    localStorage.setItem(NAME, JSON.stringify(preferences));
  } catch {
    // As above.
  }
}
