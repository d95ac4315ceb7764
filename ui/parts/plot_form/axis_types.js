// What an axis may change: by groups, and found by a part of its name or its help.
import { find, make } from "../../scripts/dom.js";
import { translated } from "../../scripts/translate.js";
import { openSheet } from "../sheet.js";

const OTHERS = "More settings";

// [[group, axes], ...] in the order in which the groups come first.
export function grouped(axes) {
  const found = new Map();
  for (const axis of axes) {
    const group = axis.group || OTHERS;
    found.set(group, [...found.get(group) ?? [], axis]);
  }
  return [...found];
}

// A list with a search; `chosen` gets the label.
export function chooseType(axes, now, chosen) {
  const search = make("input", { type: "search", placeholder: "Search", "aria-label": "Search the settings", autocomplete: "off" });
  const entry = axis => make("button", { type: "button", class: "axis-type", "aria-current": axis.label === now ? "true" : null, "data-words": `${axis.group} ${axis.label} ${axis.help}`.toLowerCase(),
    onclick: () => { sheet.close(); chosen(axis.label); } }, make("b", { translate: "no" }, axis.label), axis.help ? make("span", {}, axis.help) : "");
  const groups = grouped(axes.filter(axis => axis.label !== "Nothing")).map(([group, own]) => make("section", { "aria-label": translated(group) }, make("h3", {}, group), ...own.map(entry)));
  const none = make("p", { role: "status", hidden: true }, "Nothing is called so.");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const group of groups) {
      const entries = [...group.querySelectorAll(".axis-type")];
      for (const one of entries) one.hidden = !words.every(word => one.dataset.words.includes(word));
      group.hidden = entries.every(one => one.hidden);
    }
    none.hidden = groups.some(group => !group.hidden);
  });
  search.addEventListener("keydown", event => { if (event.key === "Enter") find("section:not([hidden]) .axis-type:not([hidden])", list)?.click(); });
  const list = make("div", { class: "axis-types" }, ...groups, none);
  const sheet = openSheet("What the axis changes", "plot-choose", search, list);
  search.focus();
}
