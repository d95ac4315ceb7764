// The table of keys. What acts on a key and the list of all keys, which `?` shows, are the same rows.
import { find, make } from "./dom.js";
import { currentTab } from "./tabs.js";

const TYPING = 'textarea, select, [contenteditable], input:not([type="range"], [type="checkbox"], [type="color"], [type="radio"])';
const SHOWN = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };
const groups = [];

// A group of the table. A row is [keys, what they do in words, act(event)]: keys as "Ctrl+Enter", or several of them in an array. An `act`
// that answers false leaves the key to others; a row without one is only listed, because its key is heard elsewhere.
// `here` tells whether an event is meant for this group, which then comes before those that are meant always; `typing`, whether the keys
// also count in a text field.
export function shortcuts(title, rows, { here = null, typing = false } = {}) {
  groups.push({ title, here, typing, rows: rows.map(([keys, text, act]) => ({ keys: [keys].flat(), text, act })) });
}

function pressed(event) {
  if (event.isComposing) return;
  const typing = event.target.matches?.(TYPING), special = groups.filter(group => group.here), general = groups.filter(group => !group.here);
  for (const group of [...special, ...general]) {
    if (typing && !group.typing || !(group.here ? group.here(event) : !find("dialog:modal, :popover-open"))) continue;
    const row = group.rows.find(one => one.act && one.keys.some(keys => fits(keys, event)));
    if (!row || row.act(event) === false) continue;
    event.preventDefault();
    event.stopPropagation();
    return;
  }
}

// Meta counts as Ctrl. Signs are taken as they come, on whatever level of the keyboard they lie.
function fits(keys, event) {
  const name = keys.endsWith("+") ? "+" : keys.split("+").at(-1), more = keys.slice(0, -name.length).split("+");
  const third = event.getModifierState("AltGraph"), sign = name.length === 1 && !/[a-z]/i.test(name);
  return event.key.toLowerCase() === (name === "Space" ? " " : name.toLowerCase())
    && (!third && (event.ctrlKey || event.metaKey)) === more.includes("Ctrl") && (!third && event.altKey) === more.includes("Alt")
    && (sign || event.shiftKey === more.includes("Shift"));
}

// ---- the list of all keys ----

const shown = keys => keys.split(/(?<=.)\+(?=.)/).map(part => make("kbd", {}, SHOWN[part] ?? part));

// With the groups of `first` at its beginning.
export function showKeys(first = "") {
  const titles = [...new Set(groups.map(group => group.title))].sort((a, b) => (b === first) - (a === first));
  const sheet = make("dialog", { class: "sheet keys-sheet", "aria-labelledby": "keys-title" },
    make("header", {}, make("h2", { id: "keys-title" }, "Keys"), make("button", { type: "button", class: "act", onclick: () => sheet.close() }, "Close")),
    ...titles.map(title => section(title, groups.filter(group => group.title === title).flatMap(group => group.rows))));
  sheet.addEventListener("close", () => sheet.remove());
  document.body.append(sheet);
  sheet.showModal();
}

function section(title, rows) {
  return make("section", {}, make("h3", {}, title), make("dl", {}, ...rows.map(({ keys, text }) => make("div", {},
    make("dt", {}, ...keys.flatMap((one, i) => [...(i ? [" "] : []), make("span", {}, ...shown(one))])), make("dd", {}, text)))));
}

// ---- keys that work everywhere ----

function press(name) {
  const button = find(`#${currentTab()}_${name}`);
  if (!button || button.disabled) return false;
  button.click();
}

// Escape closes things, too.
function interrupt(event) {
  if (event.target.getAttribute?.("aria-expanded") !== "true") press("interrupt");
  return false;
}

shortcuts("Everywhere", [
  ["Ctrl+Enter", "Generate", () => press("generate")],
  ["Alt+Enter", "Skip the picture that is being drawn", () => press("skip")],
  ["Escape", "Interrupt", interrupt],
], { typing: true });
shortcuts("Everywhere else than in text", [
  ["?", "This list", () => showKeys()],
  ["Ctrl+Z", "Take back what was just done, as long as Undo is offered"],
]);
document.addEventListener("keydown", pressed, true);
document.addEventListener("click", event => { if (event.target.closest?.("[data-keys]")) showKeys(event.target.closest("[data-keys]").dataset.keys); });
