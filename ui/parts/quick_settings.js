// Quick settings: controls of the fields that a person has pinned. Each shows the field of the tab that is open, or the setting, and sets it.
import { appeared, find, findAll, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { fields } from "../scripts/fields.js";
import { formOf } from "../scripts/form.js";
import { ask, post } from "../scripts/http.js";
import { preferences, takePreferences } from "../scripts/preferences.js";
import { currentTab } from "../scripts/tabs.js";
import { note } from "./notices.js";

const NUMBERS = ["int", "float"], TEXTS = ["text", "seed"];
let files = {}, shown = "";        // of each kind that names files: [title, value] of those that there are

const pinned = () => (preferences().pins ?? []).filter(name => fields[name]?.choices);
// Settings belong to the person, all others to the tab.
const isSetting = name => !fields[name].start;
const valueOf = name => isSetting(name) ? preferences()[name] ?? fields[name].default : formOf(currentTab()).values[name];

function render() {
  const place = find("#pins");
  if (!place || shown === pinned().join()) return follow();
  shown = pinned().join();
  place.replaceChildren(...pinned().map(control));
  follow();
}

function control(name) {
  const { label, help, kind, choices } = fields[name];
  if (kind === "texts") return make("div", { class: "pin pin-texts", title: help || null, "data-pin": name }, make("span", {}, label), list(name, label));
  return make("label", { class: `pin pin-${kind}`, title: help || null, "data-pin": name }, make("span", {}, label), input(kind, choices));
}

function input(kind, choices) {
  if (kind === "bool") return make("input", { type: "checkbox" });
  if (NUMBERS.includes(kind)) return make("input", { type: "number", step: "any" });
  if (TEXTS.includes(kind)) return make("input", { type: "text", autocomplete: "off" });
  return make("select", { translate: "no" }, ...choices.map(choice => make("option", {}, choice)));
}

// Several of a list: folded, with a box for each of those that there are.
function list(name, label) {
  const choices = make("div", { class: "pin-choices", role: "group", "aria-label": label, translate: "no" });
  const fold = make("details", { class: "pin-list" }, make("summary", { "aria-label": label }), choices);
  fold.addEventListener("toggle", () => { if (fold.open) unfold(name, choices); });
  fold.addEventListener("keydown", event => { if (event.key === "Escape" && fold.open) { close(fold); event.stopPropagation(); } });
  return fold;
}

function close(fold) {
  fold.open = false;
  find("summary", fold).focus({ preventScroll: true });
}

async function unfold(name, choices) {
  const chosen = valueOf(name) ?? [];
  const there = await ask("/easel/styles").then(({ styles }) => styles.map(style => style.name), () => []);
  choices.replaceChildren(...[...new Set([...there, ...chosen])].map(one => make("label", {}, make("input", { type: "checkbox", value: one, checked: chosen.includes(one) ? "" : null }), one)));
  if (!choices.children.length) choices.replaceChildren(make("span", { translate: "yes" }, "There are no styles yet."));
}

function followList(box, chosen) {
  const summary = find("summary", box);
  summary.textContent = chosen.length ? chosen.join(", ") : "None";
  summary.setAttribute("translate", chosen.length ? "no" : "yes");
  for (const one of findAll("input", box)) one.checked = chosen.includes(one.value);
}

function follow() {
  for (const box of findAll("[data-pin]")) {
    const name = box.dataset.pin, value = valueOf(name), control = find("input, select", box);
    box.hidden = value === undefined;       // the open tab has no such field
    if (fields[name].kind === "texts") { followList(box, value ?? []); continue; }
    if (document.activeElement === control && control.type !== "checkbox" && control.tagName !== "SELECT") continue;
    if (control.type === "checkbox") control.checked = Boolean(value);
    else { offer(control, name, value); control.value = value ?? ""; }
  }
  const place = find("#pins");
  if (place) place.hidden = !findAll("[data-pin]:not([hidden])").length;
}

function offer(control, name, value) {
  if (control.tagName !== "SELECT") return;
  const known = new Set([...control.options].map(option => option.value));
  for (const [title, one] of [...files[fields[name].kind] ?? [], ...(value ? [[value, value]] : [])]) {
    if (!known.has(one)) control.append(make("option", { value: one }, title));
    known.add(one);
  }
}

const taken = box => findAll("input:checked", box).map(one => one.value);

async function set(name, control) {
  const value = fields[name].kind === "texts" ? taken(control.closest("[data-pin]")) : control.type === "checkbox" ? control.checked : control.type === "number" ? (control.value === "" ? null : Number(control.value)) : control.value;
  if (!isSetting(name)) return formOf(currentTab()).apply({ [name]: value });
  try { takePreferences(await post("/easel/preferences", { [name]: value })); }
  catch (error) { note(error.problems?.length ? `${fields[name].label} ${error.problems[0].message}` : error.message, 8000); }
  find("#settings_apply")?.click();
  follow();
}

document.addEventListener("change", event => {
  const box = event.target.closest?.("[data-pin]");
  if (box) set(box.dataset.pin, event.target);
});
document.addEventListener("pointerdown", event => {
  for (const fold of findAll(".pin-list[open]")) if (!fold.contains(event.target)) fold.open = false;
});
on("tab", follow);
on("facts", facts => { files = facts.files ?? {}; follow(); });
on("form", render);
on("preferences", render);
appeared("#pins").then(render);
