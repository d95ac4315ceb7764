// One field of a unit as an element, from its row of the field table.
import { find, make } from "../../scripts/dom.js";
import { addHelp } from "../../scripts/help.js";

// Element ids are `<tab>_guides_<number>_<name>`, as problems name them. `changed(value)` hears of what a person does.
export function control(id, row, value, changed, choices = row.choices) {
  const box = make("div", { id, class: `field unit-field unit-${row.kind}` }), put = KINDS[row.kind];
  const input = put(box, row, value, changed, choices);
  input.id = `${id}_input`;
  if (row.help) addHelp(find(".unit-label", box), row.label, row.help);
  return box;
}

const label = (id, text) => make("span", { class: "unit-label" }, make("label", { for: `${id}_input` }, text));

function select(box, row, value, changed, choices) {
  const input = make("select", { onchange: () => changed(input.value) });
  box.append(label(box.id, row.label), input);
  offer(input, choices, value);
  return input;
}

// Choices are texts, or [value, words]; a value that is not among them stays to be seen.
export function offer(input, choices, value) {
  const pairs = choices.map(one => Array.isArray(one) ? one : [one, one]), known = pairs.some(([one]) => one === value);
  input.replaceChildren(...[...known ? [] : [[value, value]], ...pairs].map(([one, words]) => make("option", { value: one, ...(one === words && /[_\d]/.test(one) ? { translate: "no" } : {}) }, words)));
  input.value = value;
}

// A slider's colour ends at its knob.
export const fill = slider => slider?.style.setProperty("--share", Math.min(1, Math.max(0, (slider.value - slider.min) / (slider.max - slider.min))));

function number(box, row, value, changed) {
  const { min, max, step } = row.slider ?? {};
  let before = value;
  const input = make("input", { type: "number", min, max, step: step ?? "any", value, onfocus: () => { before = input.value; }, oninput: () => { slider.value = input.value; paint(); told(input.value); }, onchange: () => { if (isNumber(input.value)) before = input.value; else { input.value = slider.value = before; paint(); } } });
  const slider = make("input", { type: "range", min, max, step, tabindex: -1, "aria-hidden": "true", class: "slider", oninput: () => { input.value = slider.value; paint(); told(slider.value); } });
  const isNumber = text => text !== "" && Number.isFinite(Number(text)), told = text => { if (isNumber(text)) changed(Number(text)); };
  const paint = () => fill(slider);
  slider.value = value;
  box.append(label(box.id, row.label), input, ...(row.slider ? [slider] : []));
  paint();
  return input;
}

function check(box, row, value, changed) {
  const input = make("input", { type: "checkbox", checked: Boolean(value), onchange: () => changed(input.checked) });
  box.append(make("span", { class: "unit-label" }, make("label", { class: "unit-check" }, input, row.label)));
  return input;
}

function text(box, row, value, changed) {
  const input = make("input", { type: "text", value, oninput: () => changed(input.value) });
  box.append(label(box.id, row.label), input);
  return input;
}

const KINDS = { choice: select, guide_model: select, int: number, float: number, bool: check, text };
export const drawable = row => row.kind in KINDS;
