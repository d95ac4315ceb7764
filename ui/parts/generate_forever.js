// Generate forever: each finished job of a tab, or plot where a script is chosen, is followed by the next, with the form's values of
// that moment and a new seed.
import { find, findAll, make } from "../scripts/dom.js";
import { on, tell } from "../scripts/events.js";
import { ask } from "../scripts/http.js";
import { shortcuts } from "../scripts/keys.js";
import { store, stored } from "../scripts/storage.js";
import { currentTab } from "../scripts/tabs.js";
import { toast } from "./notices.js";
import { openMenu } from "./popup_menu.js";

const KEY = "easel.forever", ENDED = ["done", "failed", "cancelled"];
const ROOMS = ["txt2img", "img2img"];     // where a new seed makes another picture
const early = new Map();    // jobs that ended before the answer to Generate came: id -> state
let leaving = false;
let run = null;     // { tab, job, made, due }: `due` from the click on Generate to what came of it

export const foreverTab = () => run?.tab ?? null;

export function toggle(tab = currentTab()) {
  if (run) return stop("Generating forever has ended.");
  if (!ROOMS.includes(tab)) return;
  run = { tab, job: "", made: 0, due: false };
  store(sessionStorage, KEY, tab);
  show();
  toast("Generating forever: every finished picture is followed by the next, until you stop it.");
  next();
}

function next() {
  run.due = true;
  run.job = "";
  early.clear();
  find(`#${run.tab}_generate`).click();
}

// What Generate sends: in a chain with a seed that is drawn anew.
export function seeded(tab, names, values) {
  return run?.tab === tab && run.due ? values.map((value, i) => names[i] === "seed" ? -1 : value) : values;
}

function stop(why) {
  if (!run || leaving) return;
  run = null;
  store(sessionStorage, KEY, null);
  show();
  if (why) toast(why);
}

// A plot is done when its cells have ended, also those that failed.
const outcome = ({ state, failed }) => failed > 0 ? "failed" : state;

function over(state) {
  if (state === "failed") return stop("Generating forever has ended: a job failed.");
  if (state === "cancelled") return stop("Generating forever has ended: its job was cancelled.");
  run.made += 1;
  show();
  next();
}

// A job may have ended while nobody listened.
async function catchUp() {
  const { job } = run ?? {};
  if (!job) return;
  const found = run.plot ? await ask(`/easel/plots/${job}`).catch(() => null)
    : (await ask("/easel/jobs?limit=100").catch(() => ({ jobs: [] }))).jobs.find(one => one.id === job);
  if (run?.job === job && ENDED.includes(found?.state)) over(outcome(found));
}

function show() {
  for (const button of findAll(".generate")) button.toggleAttribute("data-forever", Boolean(run) && button.id === `${run.tab}_generate`);
  for (const place of findAll(".forever")) {
    place.hidden = !run;
    if (run) place.replaceChildren(make("span", {}, `Generating forever, ${run.made} finished`), make("button", { type: "button", class: "act", onclick: () => stop("Generating forever has ended.") }, "Stop after this one"));
  }
  tell("forever", run);
}

function menu(event) {
  const button = event.target.closest?.(".generate, .stops button"), tab = currentTab();
  if (!button || !ROOMS.includes(tab)) return;
  event.preventDefault();
  openMenu(event, "Generate", run
    ? [{ label: "Stop generating forever", act: () => toggle(tab) }]
    : [{ label: "Generate", act: () => find(`#${tab}_generate`).click() }, { label: "Generate forever (Ctrl+Shift+Enter)", act: () => toggle(tab) }]);
}

document.addEventListener("contextmenu", menu);
// Also while a job is in work: it may be over before the interrupt reaches it.
document.addEventListener("click", event => { if (event.target.closest?.("[id$='_interrupt']")) stop("Generating forever has ended."); }, true);
shortcuts("Everywhere", [["Ctrl+Shift+Enter", "Generate forever, or end that"]]);
document.addEventListener("keydown", event => {
  if (event.key !== "Enter" || !event.shiftKey || !(event.ctrlKey || event.metaKey) || event.isComposing || find("dialog:modal")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  toggle();
}, true);
addEventListener("beforeunload", () => { leaving = true; });
addEventListener("pageshow", () => { leaving = false; });
function begun({ tab, job, plot = false }) {
  if (run?.tab !== tab || !run.due) return;
  Object.assign(run, { job, plot, due: false });
  if (early.has(job)) over(early.get(job));
}

on("submitted", begun);
on("plotted", ({ tab, plot }) => begun({ tab, job: plot.id, plot: true }));
on("refused", ({ tab }) => { if (run?.tab === tab && run.due) stop("Generating forever has ended: the form has something to put right."); });
on("unanswered", () => { if (run?.due) stop("Generating forever has ended: Easel does not answer."); });
on("connected", catchUp);
on("live", event => {
  if (["job", "plot"].includes(event.type) && run && ENDED.includes(event.state)) {
    if (run.due) early.set(event.id, outcome(event));
    else if (run.job === event.id) over(outcome(event));
  }
  if ((event.type === "cleared" || event.type === "plot_gone" && run?.job === event.id) && run) stop("Generating forever has ended: its job was cancelled.");
});
if (stored(sessionStorage, KEY)) {
  store(sessionStorage, KEY, null);
  setTimeout(() => toast("Generating forever ended when the page was left.", { milliseconds: 10000 }), 1000);
}
