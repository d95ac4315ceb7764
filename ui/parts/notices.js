// Lines under the head for what concerns the whole house, for as long as it lasts. What is over in a moment is a toast.
import { find, findAll, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { post } from "../scripts/http.js";
import { say, toast } from "./toasts.js";

const LOST = "The connection to Easel is lost; trying again. What you typed is safe, and queued pictures go on.";
let told = [], lost = false, failed = false;

export { say, toast };
export const note = (text, milliseconds) => toast(text, { milliseconds });

function render() {
  const lines = [...new Set([...(lost ? [LOST] : []), ...told])].map(text => make("p", { class: "notice" }, make("span", {}, text)));
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
  render();
});
on("connected", () => {
  if (lost && gradioReloads()) return location.reload();
  lost = false;
  render();
});
on("lost", () => { lost = true; render(); });
