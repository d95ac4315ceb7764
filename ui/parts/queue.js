// The queue: what is being drawn, what waits, and what did not work. Every tab shows all of it.
import { find, findAll } from "../scripts/dom.js";
import { on, tell } from "../scripts/events.js";
import { ask, post } from "../scripts/http.js";
import { store, stored } from "../scripts/storage.js";
import { foreverTab } from "./generate_forever.js";
import { note, say, toast } from "./notices.js";
import { isRunning } from "./progress.js";
import { dragRows } from "./queue_drag.js";
import { QueueRows } from "./queue_rows.js";

const KEPT = 4, STARTED = "easel.started", REMEMBERED = 200;
const EARLY = 20;     // failures kept that come before the answer to Generate
const roots = [], mine = new Map(), early = new Map();
let jobs = [], total = 0, ended = [];    // an event names the first jobs of `total`
let workers = [], paused = false, allPaused = false, mayPauseAll = false;
let sending = 0, stopping = false;      // clicks on Generate without an answer; the person has stopped what comes of them

// Which tab started a job, also after a refresh of the page.
export const tabOf = job => stored(localStorage, STARTED)?.[job] ?? "txt2img";
function remember({ job, tab }) {
  mine.set(job, tab);
  if (early.has(job)) tell("problems", { tab, problems: early.get(job) });
  const started = Object.entries(stored(localStorage, STARTED) ?? {}).slice(1 - REMEMBERED);
  store(localStorage, STARTED, Object.fromEntries([...started, [job, tab]]));
}

// A tab's rows are laid anew only when they say something else, so that a drag or a click is not lost under the hand.
function renderQueue(root) {
  const box = find(".queue", root), gone = failed(), waits = total - jobs.filter(job => job.state === "running").length;
  const act = name => find(`[data-queue="${name}"]`, box);
  box.hidden = !(jobs.length || gone.length || paused || allPaused || foreverTab() || workers.length > 1);
  find(".queue-count", box).textContent = waits ? `${waits} waiting` : "";
  act("pause").textContent = paused ? "Resume" : "Pause";
  act("pause").setAttribute("aria-pressed", paused);
  act("pause-all").hidden = !mayPauseAll;
  act("pause-all").textContent = allPaused ? "Resume everybody" : "Pause everybody";
  act("pause-all").setAttribute("aria-pressed", allPaused);
  act("clear").hidden = total < 2;
  act("dismiss-all").hidden = gone.length < 2;
  find(".queue-paused", box).textContent = allPaused ? "An admin has paused the queue of everybody. What is being drawn is finished." : paused ? "The queue is paused: what waits starts when you resume it." : "";
  lay(find(".queue-workers", box), workers.length > 1 ? workers : [], worker => rows.worker(worker, jobs));
  const more = total - jobs.length;
  const all = [...jobs.map(job => ["job", job]), ...(more > 0 ? [["more", more]] : []), ...gone.map(job => ["ended", job])];
  lay(find(".queue-jobs", box), all, ([kind, it]) => rows[kind](it, paused || allPaused));
}

function lay(list, items, made) {
  const news = JSON.stringify([items, jobs.map(job => job.worker), paused, allPaused]);
  if (list.dataset.shows === news || list.matches(".dragging, .held")) return;
  list.dataset.shows = news;
  const focused = document.activeElement?.dataset?.row, here = list.contains(document.activeElement);
  list.replaceChildren(...items.map(made));
  if (here) (find(`[data-row="${CSS.escape(focused)}"]`, list) ?? find("button", list) ?? list.closest(".queue").querySelector("button"))?.focus({ preventScroll: true });
}

const title = job => job.prompt || (tabOf(job.id) === "extras" ? "Extras" : "(no prompt)");
export const promptOf = id => title([...jobs, ...ended].find(job => job.id === id) ?? { id });
const failed = () => ended.filter(job => ["failed", "cancelled"].includes(job.state) && !job.dismissed && !jobs.some(one => one.id === job.id)).slice(0, KEPT);
const rows = new QueueRows(title, act);

async function tried(url, body) {
  try { await post(`/easel/${url}`, body); return true; }
  catch (error) { note(error.message, 8000); return false; }
}

async function act(job, verb, to) {
  const done = await tried(`${job.plot ? "plots" : "jobs"}/${job.id}/${verb}`, to && { to });
  if (verb === "dismiss" && done) job.dismissed = true;
  refresh();
}

async function rearrange(moves) {
  for (const [line, to] of moves) await act(line, "move", to);
}

const acts = {
  pause: () => tried(`queue/${paused ? "resume" : "pause"}`),
  "pause-all": () => tried(`queue/${allPaused ? "resume" : "pause"}`, { everybody: true }),
  clear: () => tried("jobs/cancel"),
  "dismiss-all": async () => { await tried("jobs/dismiss"); refresh(); },
};

async function refresh() {
  ended = (await ask("/easel/jobs?limit=30").catch(() => ({ jobs: ended }))).jobs;
  roots.forEach(renderQueue);
}

async function learn() {
  mayPauseAll = (await ask("/easel/queue?limit=1").catch(() => ({}))).may_pause_all ?? mayPauseAll;
  refresh();
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
  const early = sending || foreverTab() || jobs[0]?.position === 1;
  for (const stop of findAll(".stops button")) stop.disabled = !isRunning() && !(early && stop.id.endsWith("_interrupt"));
}

export function start(root) {
  roots.push(root);
  find(".queue", root).addEventListener("click", event => acts[event.target.closest("[data-queue]")?.dataset.queue]?.());
  dragRows(find(".queue-jobs", root), rearrange, () => renderQueue(root));
  renderStops();
  renderQueue(root);
}

on("connected", learn);
on("submitted", job => {
  remember(job);
  if (stopping) return tried(`jobs/${job.job}/cancel`);
  if (foreverTab() !== job.tab) (jobs.length ? toast : say)("Added to the queue.");
});
on("live", event => {
  if (event.type === "queue") {
    ({ jobs, total = jobs.length, paused = false, all_paused: allPaused = false } = event);
    roots.forEach(renderQueue);
    renderStops();
  }
  if (event.type === "status") { workers = event.workers ?? []; roots.forEach(renderQueue); }
  if (event.type === "dismissed") refresh();
  if (event.type === "cleared") { toast("Cancelled."); refresh(); }
  if (event.type === "job") changed(event);
});
on("running", renderStops);
on("forever", () => { roots.forEach(renderQueue); renderStops(); });
on("answered", () => { sending = Math.max(0, sending - 1); stopping &&= sending > 0; renderStops(); });
on("unanswered", () => { sending = 0; stopping = false; renderStops(); });
// Interrupt counts from the click on Generate on, also while there is no job yet.
document.addEventListener("click", event => {
  if (event.target.closest?.(".generate")) { sending += 1; renderStops(); }
  else if (event.target.closest?.("[id$='_interrupt']") && sending) stopping = true;
}, true);
