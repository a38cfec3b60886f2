// Groups of buttons of which each is pressed or not.

import { element, reconcile, set, write } from "../dom.js";

/** @typedef {{ value: string, label: string }} Chip */

/**
 * Shows the chips in a group. `pressed` says which are on; "" means "all" and is on if no other is.
 * @param {Element} group @param {Chip[]} chips @param {string[]} pressed
 */
export function showChips(group, chips, pressed) {
  reconcile(group, chips, {
    key: ({ value }) => value,
    create: ({ value, label }) => element("button", { type: "button", "data-value": value }, label),
    update: (button, { value, label }) => {
      write(button, label);
      const isOn = value === "" ? pressed.length === 0 : pressed.includes(value);
      set(button, "aria-pressed", String(isOn));
    },
  });
}

/** Calls `choose(value)` when a chip is clicked. @param {Element} group @param {(value: string) => void} choose */
export function onChip(group, choose) {
  group.addEventListener("click", ({ target }) => {
    const chip = /** @type {Element} */ (target).closest("button");
    if (chip) choose(chip.dataset.value ?? "");
  });
}

/** Returns the pressed chips after a click on one; "" means "all" and releases the others. @param {string[]} list @param {string} value */
export function toggled(list, value) {
  if (value === "") return [];
  return list.includes(value) ? list.filter((each) => each !== value) : [...list, value];
}
