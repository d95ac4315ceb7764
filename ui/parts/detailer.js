// The folds of the detailer's passes: those that are switched on are marked, and classes are only of detectors that have some.
import { appeared, find, findAll } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";

const awaited = new Set();      // fields of folds that are still closed: made when that is first opened

function hide(tab, number, hidden) {
  const selector = `#${tab}_detailers_${number}_classes`, place = find(selector);
  if (place || awaited.has(selector)) return place?.toggleAttribute("hidden", hidden);
  awaited.add(selector);
  appeared(selector).then(() => show(tab));
}

function show(tab) {
  const { values } = formOf(tab), acts = name => /^detailers\[\d+\]\.enabled$/.test(name) && values[name];
  const acting = Object.keys(values).filter(acts).map(name => `${tab}_detailers_${name.match(/\d+/)[0]}_fold`);
  for (const name of Object.keys(values).filter(name => /^detailers\[\d+\]\.model$/.test(name)))
    hide(tab, name.match(/\d+/)[0], values[name] === "Faces");
  find(`#${tab}_detailers_fold`)?.classList.toggle("acting", acting.length > 0);
  for (const fold of findAll(`#${tab}_detailers_fold .fold-detailers`)) fold.classList.toggle("acting", acting.includes(fold.id));
}

on("form", ({ tab }) => show(tab));
