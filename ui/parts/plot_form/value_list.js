// Values of an axis that are names: as text with commas between them, and chosen from a list.
import { find, findAll, make } from "../../scripts/dom.js";
import { openSheet } from "../dialog.js";

const PART = /\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)/y;

// A name with a comma or quotation marks stands in quotation marks.
export const joined = names => names.map(name => /^\s|\s$|[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name).join(", ");

export function parted(text) {
  const names = [];
  PART.lastIndex = 0;
  while (PART.lastIndex < text.length) {
    const [whole, quoted, plain] = PART.exec(text) ?? [text];
    if (!whole) break;
    const name = quoted === undefined ? (plain ?? "").trim() : quoted.replaceAll('""', '"');
    if (name) names.push(name);
  }
  return names;
}

// A list of boxes to tick, with a search where it is long; `changed` gets the text after every tick.
export function chooseValues(label, choices, text, changed) {
  const chosen = new Set(parted(text)), several = choices.length > 12;
  const search = make("input", { type: "search", placeholder: "Search", "aria-label": "Search in the names", hidden: !several, autocomplete: "off" });
  const list = make("div", { class: "plot-choices", role: "group", "aria-label": label }, ...choices.map(choice => make("label", { translate: "no" },
    make("input", { type: "checkbox", value: choice, checked: chosen.has(choice) }), make("span", {}, choice))));
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const one of list.children) one.hidden = !words.every(word => one.textContent.toLowerCase().includes(word));
  });
  list.addEventListener("change", event => {
    chosen[event.target.checked ? "add" : "delete"](event.target.value);
    changed(joined([...chosen]));
  });
  const none = make("button", { type: "button", class: "act", onclick: () => {
    chosen.clear();
    for (const box of findAll("input", list)) box.checked = false;
    changed("");
  } }, "None of them");
  openSheet(label, "plot-choose", search, list, make("div", { class: "sheet-acts" }, none));
  (several ? search : find("input", list))?.focus();
}
