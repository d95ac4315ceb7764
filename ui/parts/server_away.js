// Generate while the server is away: Easel says once what that means, in place of Gradio, and what was typed stays.
import { findAll } from "../scripts/dom.js";
import { on, tell } from "../scripts/events.js";
import { toast } from "./notices.js";

const NOTHING_STARTED = "Easel does not answer, so nothing was started. What you typed is kept: press Generate again when it is back.";
const NO_ANSWER = "Easel does not answer. Nothing that you typed is lost; try again when it is back.";
const GRADIO = "Connection to the server was lost", SAID = 10000;   // ms
let lost = false, sending = 0;      // clicks on Generate that have no answer yet

function unanswered() {
  toast(sending ? NOTHING_STARTED : NO_ANSWER, { milliseconds: SAID });
  sending = 0;
  tell("unanswered");
}

document.addEventListener("click", event => {
  if (!event.target.closest?.(".generate")) return;
  sending += 1;
  if (!lost) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  unanswered();
}, true);

// Gradio's own words stay in the page, unseen: by them `notices` knows that Gradio will reload it.
new MutationObserver(() => {
  for (const box of findAll(".toast-body:not([data-heard])")) {
    box.dataset.heard = true;
    if (!box.textContent.includes(GRADIO)) continue;
    box.style.display = "none";
    unanswered();
  }
}).observe(document.body, { childList: true, subtree: true });

on("answered", () => { sending = Math.max(0, sending - 1); });
on("lost", () => { lost = true; });
on("connected", () => { lost = false; });
