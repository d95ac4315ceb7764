// Sets of guides: the units of a tab as they stand, kept on the server under names, and taken up again in either tab.
import { make } from "../../scripts/dom.js";
import { sentence } from "../../scripts/form.js";
import { ask, post } from "../../scripts/http.js";
import { preferences, takePreferences } from "../../scripts/preferences.js";
import { openSheet, sure } from "../dialog.js";
import { arrived } from "../guides.js";
import { toast } from "../notices.js";

const PREFIX = "guides.";      // of the names that they have among the preferences
const URL = "/easel/preferences";

const names = () => Object.keys(preferences()).filter(name => name.startsWith(PREFIX)).map(name => name.slice(PREFIX.length)).sort((a, b) => a.localeCompare(b));
const unitsOf = name => preferences()[PREFIX + name];

const button = (words, label, act) => make("button", { type: "button", class: "act", "aria-label": label, onclick: act }, words);

// The dialog over a tab's panel. What another page has saved is there, too.
export async function openSets(panel) {
  takePreferences(await ask(URL));
  new Sets(panel);
}

class Sets {
  constructor(panel) {
    this.panel = panel;
    this.name = make("input", { type: "text", maxlength: 60, autocomplete: "off" });
    this.list = make("ul", { class: "guide-sets" });
    this.problem = make("p", { class: "problem", role: "alert", hidden: true });
    const form = make("form", { class: "guide-set-new", onsubmit: event => { event.preventDefault(); this.tried(() => this.save(this.name.value.trim())); } },
      make("label", {}, "Name", this.name), make("button", { class: "act strong" }, "Save the guides"));
    this.sheet = openSheet("Sets of guides", "sets-sheet", make("p", { class: "sheet-hint" }, "The guides as they stand here, with pictures, regions and settings, to be chosen in either tab."), this.list, form, this.problem);
    this.show();
  }

  show() {
    this.list.replaceChildren(...names().map(name => this.row(name)));
    this.list.hidden = !this.list.childElementCount;
  }

  row(name) {
    const count = unitsOf(name).length;
    return make("li", {}, make("button", { type: "button", class: "act guide-set", onclick: () => this.take(name) }, make("span", { translate: "no" }, name), make("small", {}, count === 1 ? "1 guide" : `${count} guides`)),
      button("Replace", `Replace ${name}`, () => this.tried(() => this.save(name))), button("Delete", `Delete ${name}`, () => this.tried(() => this.remove(name))));
  }

  async tried(act) {
    this.problem.hidden = true;
    try { await act(); } catch (error) {
      this.problem.textContent = sentence("", error.message);
      this.problem.hidden = false;
    }
  }

  async save(name) {
    if (names().includes(name) && !await sure(`Replace the set ${name} by the guides that are here now?`, "Replace")) return;
    await arrived();
    await this.keep({ [PREFIX + name]: this.panel.values });
    this.name.value = "";
    toast("The guides are saved.");
  }

  async remove(name) {
    const units = unitsOf(name);
    await this.keep({ [PREFIX + name]: null });
    toast("The set of guides is deleted.", { undo: () => this.tried(() => this.keep({ [PREFIX + name]: units })) });
  }

  async keep(values) {
    takePreferences(await post(URL, values));
    this.show();
  }

  take(name) {
    this.sheet.close();
    this.panel.take(unitsOf(name));
  }
}
