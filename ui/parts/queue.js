// The queue: what is being drawn, what waits, and what did not work. Every tab shows all of it.
import { find, findAll, make } from "../scripts/dom.js";
import { on, tell } from "../scripts/events.js";
import { sentence } from "../scripts/form.js";
import { ask, post } from "../scripts/http.js";
import { store, stored } from "../scripts/storage.js";
import { note, say, toast } from "./notices.js";
import { isRunning } from "./progress.js";

const DISMISSED = "easel.dismissed", KEPT = 4, STARTED = "easel.started", REMEMBERED = 200;
const EARLY = 20;     // failures kept that come before the answer to Generate
const roots = [], mine = new Map(), early = new Map();
let jobs = [], total = 0, ended = [];    // an event names the first jobs of `total`

// Which tab started a job, also after a refresh of the page.
export const tabOf = job => stored(localStorage, STARTED)?.[job] ?? "txt2img";
function remember({ job, tab }) {
  mine.set(job, tab);
  if (early.has(job)) tell("problems", { tab, problems: early.get(job) });
  const started = Object.entries(stored(localStorage, STARTED) ?? {}).slice(1 - REMEMBERED);
  store(localStorage, STARTED, Object.fromEntries([...started, [job, tab]]));
}

function renderQueue(root) {
  const rows = [...jobs.map(waiting), ...others(), ...failed().map(finished)];
  const waits = total - jobs.filter(job => job.state === "running").length;
  find(".queue", root).hidden = !rows.length;
  find(".queue-count", root).textContent = waits ? `${waits} waiting` : "";
  find(".queue-clear", root).hidden = total < 2;
  const focused = document.activeElement?.dataset?.row;
  find(".queue ol", root).replaceChildren(...rows);
  if (focused) find(`[data-row="${CSS.escape(focused)}"]`, root)?.focus({ preventScroll: true });
}

const title = job => job.prompt || (tabOf(job.id) === "extras" ? "Extras" : "(no prompt)");
const button = (label, job, verb, handler) =>
  make("button", { type: "button", class: "act", "data-row": `${verb} ${job.id}`, "aria-label": `${label}: ${title(job)}`, onclick: handler }, label);

function waiting(job) {
  const place = job.state === "running" ? "Drawing" : `No. ${job.position}`;
  const count = job.count > 1 ? `${job.done} of ${job.count}` : "";
  return make("li", { class: `job ${job.state}` }, make("span", { class: "job-state" }, place),
    make("span", { class: "job-prompt", title: title(job) }, title(job)), make("span", { class: "job-count" }, count),
    button("Cancel", job, "cancel", () => act(job, "cancel")));
}

function others() {
  const more = total - jobs.length;
  return more > 0 ? [make("li", { class: "job queued" }, make("span", { class: "job-prompt" }, `${more} more wait behind these`))] : [];
}

function finished(job) {
  const why = job.problems.map(problem => sentence(problem.field, problem.message)).join(" ");
  return make("li", { class: `job ${job.state}` }, make("span", { class: "job-state" }, job.state === "failed" ? "Failed" : "Cancelled"),
    make("span", { class: "job-prompt", title: title(job) }, title(job), ...(why ? [make("span", { class: "job-why" }, why)] : [])),
    button("Retry", job, "retry", () => act(job, "retry")),
    button("Dismiss", job, "dismiss", () => dismiss(job)));
}

const failed = () => {
  const gone = new Set(stored(localStorage, DISMISSED) ?? []);
  return ended.filter(job => ["failed", "cancelled"].includes(job.state) && !gone.has(job.id) && !jobs.some(one => one.id === job.id)).slice(0, KEPT);
};

function dismiss(job) {
  store(localStorage, DISMISSED, [...(stored(localStorage, DISMISSED) ?? []), job.id].slice(-200));
  roots.forEach(renderQueue);
}

async function act(job, verb) {
  try { await post(`/easel/jobs/${job.id}/${verb}`); } catch (error) { note(error.message, 8000); }
  refresh();
}

async function refresh() {
  ended = (await ask("/easel/jobs?limit=30").catch(() => ({ jobs: ended }))).jobs;
  roots.forEach(renderQueue);
}

function changed(event) {
  if (event.state === "failed") say(`Failed: ${event.problems.map(problem => problem.message).join("; ")}`);
  if (event.state === "cancelled") toast("Cancelled.");
  if (event.state === "failed") mark(event.id, event.problems.filter(problem => problem.field));
  if (event.notes?.length) note(event.notes.join(" "), 12000);
  if (["failed", "cancelled"].includes(event.state)) refresh();
}

// A job can fail before this page knows that it is its own.
function mark(job, problems) {
  if (mine.has(job)) return tell("problems", { tab: mine.get(job), problems });
  early.set(job, problems);
  if (early.size > EARLY) early.delete(early.keys().next().value);
}

function renderStops() {
  for (const stop of findAll(".stops button")) stop.disabled = !isRunning();
}

export function start(root) {
  roots.push(root);
  find(".queue-clear", root).addEventListener("click", () => post("/easel/jobs/cancel").catch(error => note(error.message, 8000)));
  renderStops();
  renderQueue(root);
}

on("connected", refresh);
on("submitted", job => { remember(job); (jobs.length ? toast : say)("Added to the queue."); });
on("live", event => {
  if (event.type === "queue") { jobs = event.jobs; total = event.total ?? jobs.length; roots.forEach(renderQueue); }
  if (event.type === "cleared") { toast("Cancelled."); refresh(); }
  if (event.type === "job") changed(event);
});
on("running", renderStops);
