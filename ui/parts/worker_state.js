// How the workers are and what they draw, in the bar of the page.
import { find, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { percent } from "./progress.js";

const STATES = { starting: "Starting", ready: "Ready", loading: "Loading the model", restarting: "Restarting", failed: "Not working" };
const URGENT = ["failed", "restarting", "starting", "loading"];
let workers = [], running = [], shown = "";

const worded = worker => STATES[worker.state] ?? worker.state;
// The one that a person must know of first.
const first = () => URGENT.map(state => workers.find(worker => worker.state === state)).find(Boolean) ?? workers[0];
const told = worker => `${[worker.device, worker.dtype, worker.checkpoint].filter(Boolean).join(" · ")}`;

function drawing() {
  if (running.length > 1) return [make("span", { class: "worker-now" }, `Drawing ${running.length} jobs`)];
  const [job] = running;
  return [make("span", { class: "worker-now" }, `Drawing ${percent(job.id)}%`), make("span", { class: "worker-job", translate: "no" }, job.prompt)];
}

function devices() {
  return workers.filter(worker => worker.device).map(worker =>
    make("span", { class: "worker-device", "data-state": worker.state, title: `${worded(worker)} · ${told(worker)}` }, worker.device));
}

function render() {
  const place = find("#worker");
  if (!place || !workers.length) return;
  const now = JSON.stringify([workers, running.map(job => [job.id, percent(job.id)])]);
  if (now === shown) return;
  shown = now;
  const { state } = first();
  place.dataset.state = state;
  place.toggleAttribute("data-drawing", running.length > 0);
  place.title = [...running.map(job => job.prompt), ...workers.map(told)].filter(Boolean).join("\n");
  const draws = running.length > 0 && state === "ready";
  place.replaceChildren(...(draws ? drawing() : [make("span", { class: "worker-now" }, worded(first()))]), ...(draws && workers.length === 1 ? [] : devices()));
}

on("running", jobs => { running = jobs; render(); });
on("live", event => {
  if (event.type !== "status") return;
  workers = event.workers ?? [];
  render();
});
