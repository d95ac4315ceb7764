// What an axis may change: by groups, what was used last first, and found by a part of its name or its help.
import { find, findAll, make } from "../../scripts/dom.js";
import { store, stored } from "../../scripts/storage.js";
import { translated } from "../../scripts/translate.js";
import { openSheet } from "../dialog.js";

const OTHERS = "More settings", USED = "easel.plot.axes", REMEMBERED = 6;

// [[group, axes], ...] in the order in which the groups come first.
export function grouped(axes) {
  const found = new Map();
  for (const axis of axes) {
    const group = axis.group || OTHERS;
    found.set(group, [...found.get(group) ?? [], axis]);
  }
  return [...found];
}

const used = () => stored(localStorage, USED) ?? [];
export const usedLast = label => store(localStorage, USED, [label, ...used().filter(one => one !== label)].slice(0, REMEMBERED));

// What was typed in the name at its beginning, somewhere in the name, or only in the help; null where it is nowhere.
function rank(axis, words) {
  const name = axis.label.toLowerCase(), all = `${translated(axis.group)} ${axis.group} ${axis.label} ${axis.help} ${translated(axis.help)}`.toLowerCase();
  if (!words.every(word => all.includes(word))) return null;
  if (name.startsWith(words[0])) return 0;
  return words.every(word => name.includes(word)) ? 1 : 2;
}

// A list with a search; `chosen` gets the label.
export function chooseType(axes, now, chosen) {
  const offered = axes.filter(axis => axis.label !== "Nothing");
  const search = make("input", { type: "search", placeholder: "Search", "aria-label": "Search the settings", autocomplete: "off" });
  const entry = axis => make("button", { type: "button", class: "axis-type", "aria-current": axis.label === now ? "true" : null,
    onclick: () => { sheet.close(); chosen(axis.label); } }, make("b", { translate: "no" }, axis.label), axis.help ? make("span", {}, axis.help) : "");
  const section = ([group, own]) => make("section", { "aria-label": translated(group) }, make("h3", {}, group), ...own.map(entry));
  const last = used().map(label => offered.find(axis => axis.label === label)).filter(Boolean);
  const list = make("div", { class: "axis-types" }), none = make("p", { role: "status", hidden: true }, "Nothing is called so.");
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), ranked = offered.map(axis => [rank(axis, words), axis]);
    const found = words.length ? [0, 1, 2].flatMap(wanted => ranked.filter(([at]) => at === wanted).map(([, axis]) => axis)) : [];
    list.replaceChildren(...(words.length ? found.map(entry) : [...(last.length ? [["Used last", last]] : []), ...grouped(offered)].map(section)));
    list.scrollTo(0, 0);
    none.hidden = !words.length || found.length > 0;
  };
  search.addEventListener("input", show);
  search.addEventListener("keydown", event => { if (event.key === "Enter" && search.value) find(".axis-type", list)?.click(); });
  const sheet = openSheet("What the axis changes", "plot-choose", search, none, list);
  sheet.addEventListener("keydown", event => step(event, search, findAll(".axis-type", list)));
  show();
  search.focus();
}

// The arrows lead from the search into the list and through it.
function step(event, search, entries) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key], at = entries.indexOf(document.activeElement) + by;
  if (!by) return;
  event.preventDefault();
  (entries[at] ?? search).focus();
}
