// How far the running jobs have come: a bar with a sentence under the picture of every tab, and the title of the page.
import { find } from "../scripts/dom.js";
import { on, tell } from "../scripts/events.js";

const roots = [], lives = new Map();
let running = [];     // jobs as the queue tells them, the oldest first

function duration(seconds) {
  if (seconds == null) return "";
  if (seconds < 1.5) return "about a second left";
  if (seconds < 90) return `about ${Math.round(seconds)} s left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min left`;
  return `about ${Math.round(seconds / 3600)} h left`;
}

function step({ index, count, step, steps, message }) {
  if (message) return message;
  if (!steps) return "Starting…";
  return count > 1 ? `Picture ${index + 1} of ${count}, step ${step} of ${steps}` : `Step ${step} of ${steps}`;
}

// A plot stands in the queue as one job.
const ofPlot = ({ done, failed, total, eta }) => ({ fraction: total ? (done + failed) / total : 0, eta, message: `Plot: ${done} of ${total}` });

function beside(others) {
  if (!others) return "";
  return others === 1 ? "1 more job is being drawn" : `${others} more jobs are being drawn`;
}

export const isRunning = () => running.length > 0;
const percent = job => Math.round((lives.get(job)?.fraction ?? 0) * 100);

// The job that the results of a tab tell of: one stays until it ends, however many run beside it.
function toldIn({ follows }) {
  const wanted = follows();
  return running.find(job => job.id === wanted) ?? running[0];
}

function render(place) {
  const { root } = place, job = toldIn(place), now = lives.get(job?.id);
  const box = find(".progress", root), bar = find(".progress-bar", root);
  box.hidden = !job;
  if (!job) return;
  const what = now ? step(now) : "Starting…";
  bar.setAttribute("aria-valuenow", percent(job.id));
  bar.setAttribute("aria-valuetext", `${percent(job.id)}%, ${what}`);
  find("i", bar).style.transform = `scaleX(${now?.fraction ?? 0})`;
  find(".progress-what", root).textContent = what;
  find(".progress-more", root).textContent = beside(running.length - 1);
  find(".progress-eta", root).textContent = duration(now?.eta);
}

function changed() {
  roots.forEach(render);
  document.title = running.length && lives.has(running[0].id) ? `${percent(running[0].id)}% · Easel` : "Easel";
  tell("running", running);
}

// `follows` answers with the id of the job whose picture is shown there.
export function start(root, follows) {
  roots.push({ root, follows });
  changed();
}

on("connected", () => lives.clear());
on("live", event => {
  if (event.type === "queue") running = event.jobs.filter(job => job.state === "running");
  else if (event.type === "progress") lives.set(event.job, event);
  else if (event.type === "plot") lives.set(event.id, ofPlot(event));
  else if (event.type === "job" && event.state !== "running") {
    running = running.filter(job => job.id !== event.id);
    lives.delete(event.id);
  } else return;
  changed();
});
