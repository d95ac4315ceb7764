// The folds of extensions are marked while something in them acts, and so is the one around them.
import { appeared, find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { fields } from "../scripts/fields.js";
import { formOf } from "../scripts/form.js";

const AROUND = "extensions", TABS = ["txt2img", "img2img"];
const marked = Object.entries(fields).filter(([, { fold }]) => fold);

const acts = (value, { default: idle }) => value != null && String(value) !== String(idle);

function mark(tab) {
  const { values } = formOf(tab), acting = new Set(marked.filter(([name, field]) => acts(values[name], field)).flatMap(([, { fold }]) => [fold, AROUND]));
  for (const fold of new Set([AROUND, ...marked.map(([, { fold }]) => fold)])) find(`#${tab}_${fold}`)?.classList.toggle("acting", acting.has(fold));
}

// The folds inside come to the page when the one around them is first opened.
if (marked.length) {
  for (const tab of TABS) appeared(`#${tab}_${AROUND} [id^="${tab}_${AROUND}_"]`).then(() => mark(tab));
  on("form", ({ tab }) => { if (TABS.includes(tab)) mark(tab); });
}
