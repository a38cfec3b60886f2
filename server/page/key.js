// The server's key, where it asks for one: shown once, and from then on the cookie is enough.

const COMPLAINTS = { 401: "That is not the key.", 0: "The server does not answer." };

/** Resolves when streams may be opened: at once, or as soon as the form was given the right key. */
export async function admitted(form) {
  if (!form.hidden || (await begin({})) !== 401) return;
  form.hidden = false;
  form.querySelector("input").focus();
  await new Promise((right) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const status = await begin({ "X-API-Key": new FormData(form).get("key") });
      form.querySelector("[role=alert]").textContent = COMPLAINTS[status] ?? "";
      if (status === 204) right();
    };
  });
  form.hidden = true;
  form.reset();
}

/** The status of the answer; 0 without one. */
async function begin(headers) {
  try {
    const answer = await fetch("session", { method: "POST", headers });
    return answer.status;
  } catch {
    return 0;
  }
}
