// One axis of a plot: what it changes, its values as text, and what helps to write them.
import { find, make } from "../../scripts/dom.js";
import { addHelp } from "../../scripts/help.js";
import { ask } from "../../scripts/http.js";
import { translated } from "../../scripts/translate.js";
import { note } from "../notices.js";
import { chooseType, grouped, usedLast } from "./axis_types.js";
import { PictureValues } from "./picture_values.js";
import { chooseValues, joined } from "./value_list.js";

const NOTHING = "Nothing", PICTURE = "picture";
const SYNTAX = {
  int: "1, 2, 3 are three values. 1-5 is 1, 2, 3, 4, 5. 1-10 (+3) goes up in steps of 3. 1-10 [5] are five values, evenly spread.",
  float: "0.5, 0.7, 1 are three values. 0-1 (+0.25) goes up in steps of 0.25. 0-1 [5] are five values, evenly spread.",
  text: "Commas stand between the values. A value with a comma in it stands in \"quotation marks\".",
  [PICTURE]: "Each picture makes a row or a column, which has the name of its file.",
};

export class AxisRow {
  // `owner` is { axisOf(label), offered(label), changed(), swap(row), remove(row) }; `letter` the axis' name.
  constructor(owner, letter, { label, values }) {
    Object.assign(this, { owner, letter });
    this.type = make("select", { "aria-label": `Type of axis ${letter}`, onchange: () => this.typed() });
    this.look = make("button", { type: "button", class: "tool icon-search", "aria-haspopup": "dialog", "aria-label": `Search what axis ${letter} changes`, title: "Search the settings", onclick: () => chooseType(owner.offered(this.label), this.label, found => this.turnTo(found)) });
    this.values = make("textarea", { rows: 1, spellcheck: "false", autocomplete: "off", "aria-label": `Values of axis ${letter}`, oninput: () => { this.grow(); owner.changed(); } });
    this.choose = make("button", { type: "button", class: "act", "aria-haspopup": "dialog", onclick: () => this.pick() }, "Choose…");
    this.fill = make("button", { type: "button", class: "act", title: "All values that there are", onclick: () => this.fillAll() }, "Fill");
    this.swap = make("button", { type: "button", class: "tool icon-swap", "aria-label": `Swap ${letter} with the axis above`, title: "Swap with the axis above", onclick: () => owner.swap(this) });
    this.drop = make("button", { type: "button", class: "tool icon-close", "aria-label": `Remove axis ${letter}`, title: "Remove this axis", onclick: () => owner.remove(this) });
    this.pictures = new PictureValues(this, () => letter);
    this.problem = make("p", { class: "problem", role: "alert", hidden: true });
    this.idle = make("p", { class: "axis-idle", role: "status", hidden: true }, "Changes nothing with these settings.");
    this.about = make("span", { class: "axis-about" });
    this.root = make("div", { class: "axis", role: "group", "aria-label": `Axis ${letter}` }, make("span", { class: "axis-letter", translate: "no", "aria-hidden": "true" }, letter), this.type, this.look, this.swap, this.drop,
      make("div", { class: "axis-values" }, this.values, this.pictures.root, this.about, this.choose, this.fill), this.problem, this.idle);
    this.values.value = values;
    this.offer(label);
  }

  get label() { return this.type.value; }
  get told() { return { label: this.label, values: this.values.value }; }
  get axis() { return this.owner.axisOf(this.label); }
  get text() { return this.values.value; }
  get counts() { return Boolean(this.label) && this.label !== NOTHING; }

  // The types that fit; one that is chosen and no longer there stays to be seen.
  offer(label = this.label) {
    const types = this.owner.offered(label), option = one => make("option", { value: one, translate: "no" }, one), unknown = label && label !== NOTHING && !types.some(one => one.label === label) ? [option(label)] : [];
    this.type.replaceChildren(make("option", { value: "" }, NOTHING), ...unknown, ...grouped(types.filter(one => one.label !== NOTHING)).map(([group, axes]) => make("optgroup", { label: translated(group) }, ...axes.map(axis => option(axis.label)))));
    this.type.value = label === NOTHING ? "" : label;
    this.render();
  }

  render() {
    const { axis, counts } = this, listed = counts && Boolean(axis?.has_choices);
    const pictured = counts && axis?.kind === PICTURE;
    this.values.hidden = !counts || pictured;
    this.pictures.root.hidden = !pictured;
    if (pictured) this.pictures.show();
    this.choose.hidden = this.fill.hidden = !listed;
    this.swap.hidden = this.owner.first(this);
    const help = counts ? [axis?.help, listed ? SYNTAX.text : SYNTAX[axis?.kind] ?? SYNTAX.text].filter(Boolean).map(translated).join(" ") : "";
    if (this.about.dataset.help !== help) {
      this.about.dataset.help = help;
      this.about.replaceChildren();
      if (help) addHelp(this.about, `the values of axis ${this.letter}`, help);
    }
    this.grow();
  }

  grow() {
    this.values.style.height = "auto";
    if (this.values.scrollHeight) this.values.style.height = `${this.values.scrollHeight + 2}px`;
  }

  turnTo(label) {
    if (label === this.label) return;
    this.type.value = label;
    this.typed();
  }

  // Another type has other values.
  typed() {
    this.values.value = "";
    this.say("");
    this.render();
    if (this.counts) usedLast(this.label);
    this.focus();
    this.owner.changed();
  }

  set(text) {
    this.values.value = text;
    this.grow();
    this.owner.changed();
  }

  async choices() {
    try { return (await ask(`/easel/plots/axes/${encodeURIComponent(this.label)}/choices`)).choices; }
    catch (error) { note(error.message, 8000); return []; }
  }

  async pick() {
    const { label } = this, choices = await this.choices();
    if (choices.length) chooseValues(label, choices, this.values.value, text => this.set(text));
    else note("There is nothing to choose from yet.", 5000);
  }

  async fillAll() {
    const choices = await this.choices();
    if (choices.length) this.set(joined(choices));
  }

  say(message) {
    this.idle.hidden = true;
    this.problem.textContent = message;
    this.problem.hidden = !message;
    this.root.classList.toggle("wrong", Boolean(message));
    const input = this.input;
    for (const one of [this.values, this.pictures.file, this.type]) one.removeAttribute("aria-invalid");
    if (message) input.setAttribute("aria-invalid", "true");
  }

  get input() { return !this.counts ? this.type : this.axis?.kind === PICTURE ? this.pictures.file : this.values; }
  focus() { this.input.focus(); }
  get wrong() { return find(".problem:not([hidden])", this.root) !== null; }
}
