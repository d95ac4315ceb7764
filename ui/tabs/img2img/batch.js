// A batch: every chosen file is sent and becomes a job of its own, whose picture keeps the file's name.
import * as editor from "../../parts/mask_editor.js";
import { note, say, toast } from "../../parts/notices.js";
import { measured, multiple, upload } from "../../parts/uploads.js";
import { appeared, find, make } from "../../scripts/dom.js";
import { on, tell } from "../../scripts/events.js";
import { fields } from "../../scripts/fields.js";
import { formOf } from "../../scripts/form.js";
import { ask, post } from "../../scripts/http.js";
import { store, stored } from "../../scripts/storage.js";
import { withRoot } from "../../scripts/root.js";

const TAB = "img2img", AHEAD = 3, KEPT = "easel.batch", NOISE = /^(\.|Thumbs\.db$|desktop\.ini$)/i, LISTED = 500;
const ENDED = ["done", "failed", "cancelled"];
const box = () => find(`#${TAB}_batch .batch`);
const form = () => formOf(TAB);
let files = [], stopped = false, sending = false;
let batch = stored(sessionStorage, KEPT);      // { folder, total, jobs: [ids], ended: [ids], out: [sentences] }

const two = number => String(number).padStart(2, "0");
function named(moment) {
  const day = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())].join("-");
  return `batch-${day}-${[moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join("")}`;
}
const stem = file => file.name.replace(/\.[^.]*$/, "");

// ---- which files ----

function choose(list) {
  files = [...list].filter(file => !NOISE.test(file.name));
  if (!files.length) note("There are no files in that folder.", 6000);
  render();
}

// ---- one job per file ----

async function run() {
  if (sending) return;
  batch = { folder: named(new Date()), total: files.length, jobs: [], ended: [], out: [] };
  [sending, stopped] = [true, false];
  form().answer(null);
  render();
  const typed = await form().fresh();
  if (!await editor.settled()) stopped = true;
  const values = settings(typed), mask = await paintedMask(), sent = [];
  for (let i = 0; i < files.length && !stopped; i++) {
    for (let k = i; k < Math.min(i + AHEAD, files.length); k++) sent[k] ??= upload(files[k]).then(kept => ({ kept }), error => ({ error }));
    if (!await submit(files[i], await sent[i], values, mask)) break;
    render();
  }
  sending = false;
  keep();
  say(summary());
}

// Field values as the form has them; what is painted in a sketch belongs to the picture in the editor.
function settings(values) {
  const known = Object.entries(values).filter(([name]) => name in fields);
  return { ...Object.fromEntries(known), mask: "", init_image: "" };
}

async function paintedMask() {
  const id = editor.made() === "mask" && editor.held("mask");
  return id ? { id, size: (await measured(id)).join() } : null;
}

// Whether to go on: a file that is no picture is left out, settings that are wrong are so for every file.
async function submit(file, { kept, error }, values, mask) {
  if (error) { batch.out.push(`${file.name}: ${error.message}`); return true; }
  const own = find(".batch-size", box()).checked ? { width: multiple(kept.width), height: multiple(kept.height) } : {};
  const fits = mask && mask.size === [kept.width, kept.height].join();
  if (mask && !fits) batch.out.push(`${file.name}: drawn without the mask, which has another size.`);
  try {
    const job = await post("/easel/jobs", { ...values, ...own, init_image: kept.id, mask: fits ? mask.id : "", output_name: stem(file), output_folder: batch.folder });
    batch.jobs.push(job.id);
    tell("submitted", { job: job.id, tab: TAB });
    return true;
  } catch (problem) {
    if (problem.problems?.length) form().mark(problem.problems);
    else batch.out.push(`${file.name}: ${problem.message}`);
    return !problem.problems?.length;
  }
}

async function stop() {
  stopped = true;
  const waiting = batch.jobs.filter(job => !batch.ended.includes(job));
  for (const job of waiting) await post(`/easel/jobs/${job}/cancel`).catch(() => {});
  await recount();
}

// ---- what is shown ----

function summary() {
  const { total, jobs, ended, out } = batch;
  if (sending) return `Sending ${Math.min(jobs.length + out.length + 1, total)} of ${total}…`;
  const made = `${ended.length} of ${jobs.length} done`;
  return jobs.length ? `${batch.folder}: ${ended.length === jobs.length ? `all ${jobs.length} done` : made}.` : "Nothing was sent.";
}

function render() {
  const place = box();
  if (!place) return;
  const chosen = find(".batch-chosen", place), run = find(".batch-run", place);
  chosen.hidden = find('[data-batch="clear"]', place).hidden = !files.length;
  chosen.textContent = files.length === 1 ? `${files[0].name} is chosen: Generate makes a picture from it.` : `${files.length} files are chosen: Generate makes a picture from each.`;
  run.hidden = !batch;
  find(`#${TAB}_batch_fold`)?.classList.toggle("acting", files.length > 0);
  arm();
  if (!batch) return;
  const over = !sending && batch.ended.length === batch.jobs.length, share = batch.ended.length / Math.max(1, sending ? batch.total : batch.jobs.length);
  find(".batch-said", place).textContent = summary();
  find(".progress-bar i", place).style.transform = `scaleX(${share})`;
  find(".progress-bar", place).setAttribute("aria-valuenow", Math.round(100 * share));
  find(".batch-left-out", place).replaceChildren(...batch.out.map(text => make("li", {}, text)));
  find('[data-batch="stop"]', place).hidden = over;
  const zip = find(".batch-zip", place);
  zip.hidden = !over || !batch.jobs.length;
  zip.href = withRoot(`/easel/batch/${encodeURIComponent(batch.folder)}.zip`);
  zip.download = `${batch.folder}.zip`;
}

// Generate does something else while files are chosen: it says so, wherever the batch's own fold is.
function arm() {
  const generate = find(`#${TAB}_generate`), actions = find(`#${TAB}_actions`);
  find(".armed", actions?.parentElement)?.remove();
  delete generate?.dataset.files;
  generate?.removeAttribute("aria-describedby");
  if (!files.length || !actions) return;
  generate.dataset.files = files.length;
  generate.setAttribute("aria-describedby", "armed");
  const text = files.length === 1 ? "Generate draws from the file of the batch." : `Generate draws from the ${files.length} files of the batch.`;
  actions.after(make("div", { class: "armed" }, make("p", { id: "armed" }, text), make("button", { type: "button", class: "act", "data-batch": "clear" }, "Forget the files")));
}

function keep() {
  store(sessionStorage, KEPT, batch);
  render();
}

// After a refresh, or a lost connection: which of them have ended meanwhile.
async function recount() {
  if (!batch?.jobs.length) return;
  const { jobs } = await ask(`/easel/jobs?limit=${LISTED}`).catch(() => ({ jobs: [] }));
  const over = jobs.filter(job => ENDED.includes(job.state) && batch.jobs.includes(job.id)).map(job => job.id);
  batch.ended = [...new Set([...batch.ended, ...over])];
  keep();
}

function ended(job) {
  if (!batch?.jobs.includes(job) || batch.ended.includes(job)) return;
  batch.ended.push(job);
  keep();
}

// ---- wiring ----

function forget() {
  const former = files;
  files = [];
  render();
  toast("The files of the batch are forgotten.", { undo: () => { files = former; render(); } });
  find(`#${TAB}_generate`)?.focus();
}

const acts = { clear: forget, stop };
document.addEventListener("change", event => {
  if (!event.target.matches?.(".batch-files")) return;
  choose(event.target.files);
  event.target.value = "";
}, true);
document.addEventListener("click", event => acts[event.target.closest?.("[data-batch]")?.dataset.batch]?.());
document.addEventListener("click", event => {     // before Gradio hears of it
  if (!files.length || !event.target.closest?.(`#${TAB}_generate`)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  run();
}, true);
on("live", event => { if (event.type === "job" && ENDED.includes(event.state)) ended(event.id); });
on("connected", recount);
appeared(`#${TAB}_batch .batch`).then(render);
