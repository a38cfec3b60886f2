// Ask for the API key if the server requires one. It is sent once; then the session cookie is enough.

import { find } from "./dom.js";

/** @type {Record<number, string>} */
const ERRORS = { 401: "Wrong key.", 0: "The server does not answer." };

/**
 * Resolves to true after the right key was entered in the form, which is shown if the server demands one.
 * Otherwise resolves to false: no key is needed, the server does not answer, or the form is open already.
 * @param {HTMLFormElement} form
 * @returns {Promise<boolean>}
 */
export async function waitForAccess(form) {
  if (!form.hidden || (await openSession({})) !== 401) return false;
  form.hidden = false;
  find("input", form).focus();
  await /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      form.onsubmit = async (event) => {
        event.preventDefault();
        const status = await openSession({ "X-API-Key": String(new FormData(form).get("key")) });
        const isOpen = status === 204;
        const error = ERRORS[status] ?? `The server answered with status ${status}.`;
        find("[role=alert]", form).textContent = isOpen ? "" : error;
        if (isOpen) resolve();
      };
    })
  );
  form.hidden = true;
  form.reset();
  return true;
}

/** Returns the HTTP status of POST /session, or 0 without an answer. @param {Record<string, string>} headers */
async function openSession(headers) {
  try {
    const answer = await fetch("session", { method: "POST", headers });
    return answer.status;
  } catch {
    return 0;
  }
}
