// The workers in the bar: what is being drawn, and how each of them is.
import { find, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";

export const STATES = { starting: "Starting", ready: "Ready", loading: "Loading the model", restarting: "Restarting", failed: "Not working", stopped: "Stopped", resting: "At rest", waiting: "Waiting for a machine" };
const WORST = ["failed", "restarting", "starting", "waiting", "loading", "stopped", "ready", "resting"];
let workers = [], running = [], live = {};     // `live`: the last progress of each running job

function drawing() {
  const told = running.map(job => live[job.id]).find(Boolean);
  if (!running.length) return "";
  const percent = told ? `${Math.round(100 * told.fraction)}%` : "";
  return [running.length > 1 ? `Drawing ${running.length} jobs` : `Drawing`, percent].filter(Boolean).join(" ");
}

function said(worker) {
  return [worker.device, STATES[worker.state] ?? worker.state, worker.dtype, worker.checkpoint].filter(Boolean).join(" · ");
}

function render() {
  const place = find("#worker");
  if (!place || !workers.length) return;
  const state = WORST.find(one => workers.some(worker => worker.state === one)) ?? workers[0].state;
  const busy = state === "ready" ? drawing() : "";
  place.dataset.state = state;
  place.classList.toggle("busy", Boolean(busy));
  place.title = workers.map(said).join("\n");
  const devices = workers.length > 1 ? `${workers.filter(worker => worker.state === "ready").length} of ${workers.length} devices` : workers[0].device;
  place.replaceChildren(make("span", {}, busy || (STATES[state] ?? state)), ...(devices ? [make("span", { class: "worker-device" }, devices)] : []));
}

on("live", event => {
  if (event.type === "status") workers = event.workers ?? [];
  else if (event.type === "progress") live[event.job] = event;
  else if (event.type === "queue") {
    running = event.jobs.filter(job => job.state === "running");
    live = Object.fromEntries(Object.entries(live).filter(([job]) => running.some(one => one.id === job)));
  } else return;
  render();
});
