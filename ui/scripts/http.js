// Requests to the server. A refusal throws an Error with `status` and `problems`, each of which names its field.
import { fromServer, withRoot } from "./root.js";

export const JSON_TYPE = { "Content-Type": "application/json" };
const FILE_TYPE = { "Content-Type": "application/octet-stream" };

const said = body => body.problems?.map(problem => problem.message).join("; ") || body.errors;

let leaving = false;

export async function ask(url, options) {
  const answer = await fetch(withRoot(url), options).catch(error => { throw error.name === "AbortError" ? error : new Error("Easel does not answer. Try again when it is back."); });
  if (answer.status === 401 && !leaving) location.assign(withRoot(`/login?next=${encodeURIComponent(location.pathname.slice(withRoot("").length) + location.hash)}`));   // logged out elsewhere, or for long
  const body = await answer.text().then(fromServer).catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said(body) || `The server answered ${answer.status}.`), { status: answer.status, problems: body.problems ?? [] });
  return body;
}

// The one way out of this page from here on: to be led to the login by a refused request would cut the logout short.
export function logOut() {
  leaving = true;
  fetch(withRoot("/logout"), { method: "POST", redirect: "manual" }).finally(() => location.assign(withRoot("/login")));
}

export const post = (url, body = {}) => ask(url, { method: "POST", headers: JSON_TYPE, body: JSON.stringify(body) });
export const sendFile = (url, file) => ask(url, { method: "POST", headers: FILE_TYPE, body: file });
