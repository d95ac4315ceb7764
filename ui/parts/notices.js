// Lines under the head for what concerns the whole house, for as long as it lasts. What is over in a moment is a toast.
import { find, findAll, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { post } from "../scripts/http.js";
import { store, stored } from "../scripts/storage.js";
import { say, toast } from "./toasts.js";

const LOST = "The connection to Easel is lost; trying again. What you typed is safe, and queued pictures go on.";
const HIDDEN = "easel.hidden_notices";
let told = [], lost = false, failed = false;

export { say, toast };
export const note = (text, milliseconds) => toast(text, { milliseconds });

// Who has read a line may have the room back until the tab is closed; one that ended and comes again is shown again.
const hidden = () => stored(sessionStorage, HIDDEN) ?? [];

function hide(text) {
  store(sessionStorage, HIDDEN, [...hidden(), text]);
  render();
}

const line = (text, ...more) => make("p", { class: "notice" }, make("span", {}, text), ...more);
const hideable = text => line(text, make("button", { type: "button", class: "notice-close", "aria-label": "Dismiss", title: "Dismiss", onclick: () => hide(text) }, "×"));

function render() {
  const shown = [...new Set(told)].filter(text => failed || !hidden().includes(text));
  const lines = [...(lost ? [line(LOST)] : []), ...shown.map(failed ? text => line(text) : hideable)];
  if (failed && !lost) (lines[0] ?? lines[lines.push(make("p", { class: "notice" })) - 1]).append(restart());
  find("#notices")?.replaceChildren(...lines);
}

// A worker that gave up starting does so only for as long as nobody asks it again.
function restart() {
  return make("button", { type: "button", class: "act", onclick: async event => {
    event.target.disabled = true;
    try { await post("/easel/workers/restart"); toast("Starting the worker again."); }
    catch (error) { note(error.message, 8000); }
    finally { event.target.disabled = false; }
  } }, "Try again");
}

// Where Gradio missed the server too, it reloads the page seconds after the server is back, under a click perhaps: sooner is safer.
const gradioReloads = () => findAll(".toast-wrap").some(({ textContent }) => textContent.includes("Connection to the server was lost"));

on("live", event => {
  if (event.type !== "status") return;
  told = event.notices ?? [];
  failed = (event.workers ?? []).some(worker => worker.state === "failed");
  store(sessionStorage, HIDDEN, hidden().filter(text => told.includes(text)));
  render();
});
on("connected", () => {
  if (lost && gradioReloads()) return location.reload();
  lost = false;
  render();
});
on("lost", () => { lost = true; render(); });
