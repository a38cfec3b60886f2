// Helpers for the DOM.

/**
 * Returns the first element that matches, or null. The type is `any`, because most callers know the element.
 * @param {string} selector @param {ParentNode} [within] @returns {any}
 */
export function find(selector, within = document) {
  return within.querySelector(selector);
}

/**
 * Creates an element with attributes and children. An attribute that is false or undefined is left out.
 * @param {string} tag
 * @param {Record<string, string | number | boolean | undefined>} [attributes]
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * The same for SVG.
 * @param {string} tag
 * @param {Record<string, string | number | boolean | undefined>} [attributes]
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** @param {Element} created @param {Record<string, any>} attributes @param {(Node | string)[]} children */
function filled(created, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) {
      created.setAttribute(name, value === true ? "" : String(value));
    }
  }
  created.append(...children);
  return created;
}

/** Writes only changed text: layout and screen readers notice each write. @param {Node} node @param {string} text */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets only a changed attribute; null removes it. @param {Element} target @param {string} name @param {string | null} value */
export function set(target, name, value) {
  if (target.getAttribute(name) === value) return;
  if (value === null) target.removeAttribute(name);
  else target.setAttribute(name, value);
}

/**
 * Returns the elements of a pair's name, such as BTC/USDT. Base and quote are isolated, because one in a
 * right-to-left script would move the other.
 * @param {{ base: string, quote: string }} pair
 */
export function nameOf({ base, quote }) {
  const parts = [element("bdi", { class: "base" }, base)];
  if (quote) parts.push(element("span", { class: "quote" }, "/", element("bdi", {}, quote)));
  return parts;
}

/**
 * Makes the children of `parent` those of `items`, in their order. The child of a key is kept and updated, and
 * keeps the focus.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {{ key: (item: T) => string, create: (item: T) => any, update: (child: any, item: T) => void }} row
 */
export function reconcile(parent, items, { key, create, update }) {
  /** @type {Map<string, any>} */
  const known = new Map(
    [...parent.children].map((child) => [child.getAttribute("data-key") ?? "", child]),
  );
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  let next = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let child = known.get(name);
    if (child) known.delete(name);
    else {
      child = create(item);
      child.setAttribute("data-key", name);
    }
    update(child, item);
    if (child === next) next = child.nextElementSibling;
    else parent.insertBefore(child, next);
  }
  for (const child of known.values()) child.remove();
  // A child that was moved has lost the focus.
  if (focused !== document.activeElement && parent.contains(focused)) {
    focused?.focus({ preventScroll: true });
  }
}
