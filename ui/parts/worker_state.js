// How the worker is, at the head of the page.
import { find, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";

const STATES = { starting: "Starting", ready: "Ready", loading: "Loading the model", restarting: "Restarting", failed: "Not working" };

on("live", event => {
  const worker = event.type === "status" && event.workers?.[0], place = find("#worker");
  if (!place || !worker) return;
  place.dataset.state = worker.state;
  place.textContent = STATES[worker.state] ?? worker.state;
  place.title = [worker.device, worker.dtype, worker.checkpoint].filter(Boolean).join(" · ");
  if (worker.device) place.append(make("span", { class: "worker-device" }, worker.device));
});
