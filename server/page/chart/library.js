// TradingView's Lightweight Charts. It is loaded when the first chart is opened: most visits open none.

const ADDRESS = "vendor/lightweight-charts.standalone.production.js";

/** @type {Promise<any> | null} */
let loading = null;

/** Resolves to the library; rejects if it can't be loaded, and the next call tries again. @returns {Promise<any>} */
export function library() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = ADDRESS;
    script.onload = () => resolve(/** @type {any} */ (globalThis).LightweightCharts);
    script.onerror = () => {
      loading = null;
      reject(new Error(`${ADDRESS} can't be loaded`));
    };
    document.head.append(script);
  });
  return loading;
}

/** Returns a colour of the style sheet as the library reads it. @param {string} name @param {HTMLElement} probe an element of the document */
export function colour(name, probe) {
  probe.style.color = `var(--${name})`;
  const resolved = getComputedStyle(probe).color;
  probe.style.color = "";
  return resolved;
}
