// The rows of the queue: jobs that are drawn or wait, those that did not work, and the workers.
import { make } from "../scripts/dom.js";
import { sentence } from "../scripts/form.js";

const STATES = { starting: "Starting", ready: "Ready", loading: "Loading the model", restarting: "Restarting", failed: "Not working", stopped: "Stopped" };
const MOVES = [["front", "⤒", "To the front"], ["up", "↑", "Up"], ["down", "↓", "Down"]];

// `does(job, verb, to)` carries out what a row's button names; `title(job)` are the words by which a job is known.
export class QueueRows {
  constructor(title, does) {
    this.title = title;
    this.does = does;
  }

  button(label, job, verb, handler, attributes = {}) {
    return make("button", { type: "button", class: "act", "data-row": `${verb} ${job.id}`, "aria-label": `${label}: ${this.title(job)}`, onclick: handler, ...attributes }, attributes.title ? attributes.sign : label);
  }

  job(job, paused) {
    if (job.plot) return this.plot(job, paused);
    const waits = job.state === "queued", title = this.title(job);
    const place = waits ? (paused ? "Paused" : `No. ${job.position}`) : "Drawing";
    const moves = waits ? this.moves(job) : [];
    return make("li", { class: `job ${job.state}`, "data-job": job.id, draggable: waits ? "true" : null }, make("span", { class: "job-state" }, place),
      make("span", { class: "job-prompt", title }, title), make("span", { class: "job-count" }, job.count > 1 ? `${job.done} of ${job.count}` : ""),
      make("span", { class: "job-acts" }, ...moves, this.button("Cancel", job, "cancel", () => this.does(job, "cancel"))));
  }

  moves(job) { return MOVES.map(([to, sign, label]) => this.button(label, job, to, () => this.does(job, "move", to), { title: label, sign, class: "act queue-move" })); }

  // All cells of a plot in one line. Plots and single pictures take turns, until one is moved before or behind the others.
  plot(plot, paused) {
    const title = this.title(plot), waits = plot.state === "queued", held = plot.paused ? ["resume", "Go on"] : ["pause", "Pause"];
    const place = plot.paused || paused && waits ? "Paused" : waits ? `No. ${plot.position}` : "Drawing";
    return make("li", { class: `job ${plot.state} plot`, "data-plot": plot.id, draggable: plot.waiting ? "true" : null }, make("span", { class: "job-state" }, place), make("span", { class: "job-prompt", title }, title),
      make("span", { class: "job-count" }, `${plot.done} of ${plot.count}`),
      make("span", { class: "job-acts" }, ...(plot.waiting ? this.moves(plot) : []), make("a", { class: "act", href: `#/plots/${plot.id}`, "data-row": `show ${plot.id}`, "aria-label": `Show the plot: ${title}` }, "Show"),
        this.button(held[1], plot, held[0], () => this.does(plot, held[0])), this.button("Cancel", plot, "cancel", () => this.does(plot, "cancel"))));
  }

  more(count) {
    return make("li", { class: "job queued" }, make("span", { class: "job-prompt" }, `${count} more wait behind these`));
  }

  ended(job) {
    const why = job.problems.map(problem => sentence(problem.field, problem.message)).join(" "), title = this.title(job);
    return make("li", { class: `job ${job.state}` }, make("span", { class: "job-state" }, job.state === "failed" ? "Failed" : "Cancelled"),
      make("span", { class: "job-prompt", title }, title, ...(why ? [make("span", { class: "job-why" }, why)] : [])), make("span", { class: "job-count" }),
      make("span", { class: "job-acts" }, this.button("Retry", job, "retry", () => this.does(job, "retry")), this.button("Dismiss", job, "dismiss", () => this.does(job, "dismiss"))));
  }

  // Of other people's jobs a page knows only how many there are.
  worker(worker, jobs) {
    const own = jobs.filter(job => job.worker === worker.name && job.state === "running"), others = worker.drawing - own.length;
    const says = [...own.map(job => make("span", { class: "job-prompt", title: this.title(job) }, this.title(job))), ...(others > 0 ? [make("span", {}, others === 1 ? "Draws for somebody else" : `Draws ${others} jobs of others`)] : [])];
    return make("li", { class: "queue-worker", "data-state": worker.state }, make("span", { class: "job-state", translate: "no" }, worker.name),
      make("span", { class: "queue-draws" }, ...(says.length ? says : [make("span", {}, STATES[worker.state] ?? worker.state)])));
  }
}
