// Format amounts digit by digit. They are never parsed as floats, so every digit is the exchange's.

/**
 * ("85439.9", 2) → "85,439.90". Zeros are added up to `places` decimals, so prices of a pair keep their
 * width; no digit is removed.
 * @param {string} text @param {number} [places]
 */
export function amount(text, places = 0) {
  const [integer, fraction = ""] = text.split(".");
  const padded = fraction.padEnd(places, "0");
  return integer.replace(/\B(?=(\d{3})+$)/g, ",") + (padded === "" ? "" : `.${padded}`);
}

/**
 * Splits a text where it begins to differ from an earlier one: ("85,439.90", "85,441.10") → ["85,4", "41.10"].
 * If their lengths differ, all of it changed.
 * @param {string} before @param {string} text
 */
export function split(before, text) {
  if (before.length !== text.length) return ["", text];
  let same = 0;
  while (same < text.length && text[same] === before[same]) same += 1;
  return [text.slice(0, same), text.slice(same)];
}
