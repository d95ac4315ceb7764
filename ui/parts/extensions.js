// The folds of extensions are marked while something in them acts, or where theirs has failed, and so is the one around them.
import { appeared, find, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { fields } from "../scripts/fields.js";
import { formOf } from "../scripts/form.js";
import { ask } from "../scripts/http.js";

const AROUND = "extensions", TABS = ["txt2img", "img2img"];
const marked = Object.entries(fields).filter(([, { fold }]) => fold), folds = new Set([AROUND, ...marked.map(([, { fold }]) => fold)]);
let failed = new Set(), told = null;    // extensions, by name; the notices of which they were asked

const acts = (value, { default: idle }) => value != null && String(value) !== String(idle);
const foldsOf = having => new Set(marked.filter(([name, field]) => having(name, field)).flatMap(([, { fold }]) => [fold, AROUND]));

function mark(tab) {
  const { values } = formOf(tab), acting = foldsOf((name, field) => acts(values[name], field)), broken = foldsOf((_, { extension }) => failed.has(extension));
  for (const fold of folds) {
    const place = find(`#${tab}_${fold}`);
    place?.classList.toggle("acting", acting.has(fold) && !broken.has(fold));
    if (place) warn(place, broken.has(fold));
  }
}

function warn(fold, broken) {
  const head = find(":scope > button", fold), mark = head && find(".fold-failed", head);
  if (broken && head && !mark) head.firstElementChild.append(make("span", { class: "fold-failed" }, " · ", make("span", {}, "failed, switched off")));
  if (!broken) mark?.remove();
}

// One that fails does so at work: the notices of the house tell that something is otherwise.
async function look(notices) {
  if (JSON.stringify(notices) === told) return;
  told = JSON.stringify(notices);
  const { extensions } = await ask("/easel/extensions").catch(() => ({ extensions: [] }));      // that there is no answer is told elsewhere
  failed = new Set(extensions.filter(({ state }) => state === "failed").map(({ name }) => name));
  TABS.forEach(mark);
}

// The folds inside come to the page when the one around them is first opened.
if (marked.length) {
  for (const tab of TABS) appeared(`#${tab}_${AROUND} [id^="${tab}_${AROUND}_"]`).then(() => mark(tab));
  on("form", ({ tab }) => { if (TABS.includes(tab)) mark(tab); });
  on("live", event => { if (event.type === "status") look(event.notices ?? []); });
}
