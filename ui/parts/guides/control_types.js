// What the server tells of guides for a checkpoint: what to guide by, preprocessors, and models that fit.
import { fields } from "../../scripts/fields.js";
import { ask } from "../../scripts/http.js";

const USUAL = Object.fromEntries(["control_mode", "union_type"].map(name => [name, fields.guides.record[name].default]));
const known = {};

// { choices, modules, models }. With `refresh` the folders are looked through again.
export function factsFor(checkpoint, refresh = false) {
  if (refresh) for (const name of Object.keys(known)) delete known[name];
  return known[checkpoint] ??= ask(`/easel/guides?checkpoint=${encodeURIComponent(checkpoint)}${refresh ? "&refresh=true" : ""}`)
    .catch(error => { delete known[checkpoint]; throw error; });
}

// The choice that a unit stands for: the one that its preprocessor serves, and of several the one that its model serves,
// or the one that any model does.
export function choiceOf({ choices, models }, unit) {
  const serving = choices.filter(choice => choice.modules.includes(unit.module)), kind = models.find(one => one.name === unit.model)?.kind;
  const fits = choice => choice.models.some(word => word && unit.model.toLowerCase().includes(word));
  if (unit.module === "none") return choices.find(choice => choice.kinds.includes(kind) && fits(choice)) ?? null;
  return serving.find(fits) ?? serving.find(choice => choice.models.includes("")) ?? serving[0] ?? null;
}

// Where a model's name says that it is for another choice than its preprocessor serves: both, [of the model, of the preprocessor].
export function oddPair({ choices, models }, unit) {
  if (unit.module === "none") return null;      // it makes nothing
  const name = unit.model.toLowerCase(), kind = models.find(one => one.name === unit.model)?.kind, served = choices.filter(choice => choice.modules.includes(unit.module) && choice.kinds.includes(kind));
  const named = choices.filter(choice => choice.kinds.includes(kind) && choice.models.some(word => word && name.includes(word)));
  return served.length && named.length && !named.some(choice => served.includes(choice)) ? [named[0], served[0]] : null;
}

// What a choice fills into a unit, and what the model that it takes wants besides.
export function filledBy({ modules, models }, choice) {
  const named = choice.modules.map(name => modules.find(one => one.name === name)).filter(Boolean);
  const module = named.find(one => !one.missing) ?? named[0], fitting = models.filter(one => choice.kinds.includes(one.kind) && !choice.unlike.some(word => one.name.toLowerCase().includes(word)));
  const best = choice.models.map(word => fitting.find(one => one.name.toLowerCase().includes(word))).find(Boolean);
  return { ...USUAL, module: module?.name ?? "none", model: best?.name ?? "None", weight: choice.weight, resize_mode: choice.resize_mode, threshold_a: -1, threshold_b: -1, ...best?.prefers };
}
