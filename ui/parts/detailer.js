// Marks the folds of the detailer's passes that are switched on.
import { find, findAll } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";

on("form", ({ tab }) => {
  const { values } = formOf(tab), acts = name => /^detailers\[\d+\]\.enabled$/.test(name) && values[name];
  const acting = Object.keys(values).filter(acts).map(name => `${tab}_detailers_${name.match(/\d+/)[0]}_fold`);
  find(`#${tab}_detailers_fold`)?.classList.toggle("acting", acting.length > 0);
  for (const fold of findAll(`#${tab}_detailers_fold .fold-detailers`)) fold.classList.toggle("acting", acting.includes(fold.id));
});
