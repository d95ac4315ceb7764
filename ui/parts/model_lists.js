// The lists of models are asked for again when the server has looked through its folders: at its start a page may come first.
import { find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";

let isPartial = false;

on("facts", facts => { isPartial = facts.reads_models; });
on("live", event => {
  if (event.type !== "status") return;
  if (isPartial && !event.reads_models) find("#refresh_checkpoints")?.click();
  isPartial = event.reads_models;
});
