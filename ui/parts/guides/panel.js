// The list of units of a tab, as the form holds it: one JSON text.
import { make } from "../../scripts/dom.js";
import { on } from "../../scripts/events.js";
import { fields } from "../../scripts/fields.js";
import { formOf } from "../../scripts/form.js";
import { post } from "../../scripts/http.js";
import { note, toast } from "../notices.js";
import { factsFor } from "./control_types.js";
import { openSets } from "./sets.js";
import { styles } from "./style_sheet.js";
import { Unit } from "./unit.js";

const { record: ROWS, most: MOST } = fields.guides;
const TOO_MANY = `At most ${MOST} guides can be on.`;
const DEFAULTS = Object.fromEntries(Object.entries(ROWS).map(([name, row]) => [name, row.default]));
const LATER = /\.(image|mask)$/;    // what is missing until it is chosen: told when it is drawn, the rest at once
const WRITING = 150, CHECKING = 400;    // ms after the last change
export class Panel {
  static async made(tab) {
    const { values, pending } = formOf(tab), checkpoint = pending.checkpoint ?? values.checkpoint ?? "";
    const [facts] = await Promise.all([factsFor(checkpoint), styles()]);
    return new Panel(tab, checkpoint, facts);
  }

  constructor(tab, checkpoint, facts) {
    Object.assign(this, { tab, checkpoint, facts, form: formOf(tab), values: [], views: [], text: null, marked: [] });
    this.open = new WeakSet();
    this.making = new WeakMap();     // of units whose preview is being made: the name of that task
    this.list = make("div", { class: "guide-units" });
    this.adder = make("button", { type: "button", class: "act", onclick: () => this.add() }, "Add a guide");
    this.again = make("button", { type: "button", class: "act", title: "Look through the models folders again", onclick: () => this.refresh() }, "Refresh models");
    this.empty = make("p", { class: "guides-empty" }, "A guide is a picture that says where edges, depth, a pose, colours or a style shall be.");
    this.sets = make("button", { type: "button", class: "act", "aria-haspopup": "dialog", onclick: () => openSets(this).catch(error => note(error.message, 8000)) }, "Sets of guides");
    this.root = make("div", { class: "guides" }, this.empty, this.list, make("div", { class: "guides-foot" }, this.adder, this.sets, this.again));
    on("form", form => { if (form.tab === tab) this.look(); });
    this.look();
  }

  reveal(name) { this.views[/\d+/.exec(name)]?.reveal(name); }

  put(place) {
    place.replaceChildren(this.root);
    this.checkSoon();
  }

  // ---- the form's text ----

  look() {
    const { values, pending } = this.form, text = pending.guides ?? values.guides ?? "[]", checkpoint = pending.checkpoint ?? values.checkpoint ?? "";
    if (text !== this.text) {
      this.text = text;
      this.values = parsed(text).map(unit => ({ ...DEFAULTS, ...unit }));
      if (this.values.length === 1) this.open.add(this.values[0]);
      this.render();
      this.checkSoon();
    }
    for (const view of this.views) view.follow();
    if (checkpoint !== this.checkpoint) this.follow(checkpoint);
  }

  async follow(checkpoint, refresh = false) {
    this.checkpoint = checkpoint;
    try {
      const facts = await factsFor(checkpoint, refresh);
      if (checkpoint !== this.checkpoint) return;
      this.facts = facts;
      this.render();
      this.checkSoon();
    } catch (error) { note(error.message, 8000); }
  }

  refresh() { return this.follow(this.checkpoint, true); }

  // What Generate sends is right at once; Gradio hears of it when the person pauses.
  changed() {
    this.text = this.form.pending.guides = JSON.stringify(this.values);
    this.offer();
    clearTimeout(this.writing);
    this.writing = setTimeout(() => this.form.apply({ guides: this.text }), WRITING);
    this.checkSoon();
  }

  // ---- what does not fit is told at once ----

  checkSoon() {
    clearTimeout(this.checking);
    this.checking = setTimeout(() => this.check(), CHECKING);
  }

  async check() {
    if (!this.root.checkVisibility() || !this.values.length) return;
    const text = this.text, { problems } = await post("/easel/guides/check", { checkpoint: this.checkpoint, guides: text }).catch(() => ({ problems: [] }));
    if (text !== this.text) return;
    const told = problems.filter(({ field }) => this.atOnce(field ?? ""));
    const unfit = this.views.map((_, number) => told.some(({ field }) => field.startsWith(`guides[${number}].`))), open = told.filter(({ field }) => !this.views[/\d+/.exec(field)].body.hidden);
    for (const field of this.marked.filter(one => !open.some(({ field }) => field === one))) this.form.unmark(field);
    this.marked = open.map(({ field }) => field);
    this.form.mark(open.filter(({ field, message }) => !this.form.says(field, message)), false);       // said once, it is not said again while somebody types
    this.views.forEach((view, number) => view.fits(!unfit[number]));
  }

  atOnce(field) {
    const number = /^guides\[(\d+)\]\./.exec(field)?.[1], chosen = number && !(this.views[number]?.fresh && field.endsWith(".model"));
    return Boolean(chosen) && !LATER.test(field);
  }

  // ---- units ----

  render() {
    for (const view of this.views) view.leave();
    this.views = this.values.map((value, number) => new Unit(this, number, value));
    this.list.replaceChildren(...this.views.map(view => view.root));
    this.empty.hidden = this.values.length > 0;
    this.offer();
  }

  offer() {
    this.adder.disabled = this.full;
    this.adder.title = this.full ? TOO_MANY : "";
  }

  get full() { return this.values.filter(unit => unit.enabled).length >= MOST; }

  lay(values, focus) {
    this.values = values;
    this.render();
    this.changed();
    (this.views[focus]?.toggle ?? this.adder).focus();
  }

  add() {
    const unit = { ...DEFAULTS, enabled: true };
    this.open.add(unit);
    this.lay([...this.values, unit], this.values.length);
  }

  // Other units in place of those that are here.
  take(units) {
    const before = this.values;
    this.lay(units.map(unit => ({ ...DEFAULTS, ...unit })), 0);
    toast("The guides of the set are here.", { undo: () => this.lay(before, 0) });
  }

  copy(number) {
    const unit = { ...this.values[number] };
    if (unit.enabled && this.full) return note(TOO_MANY, 6000);
    this.open.add(unit);
    this.lay(this.values.toSpliced(number + 1, 0, unit), number + 1);
  }

  move(number, by) {
    const to = number + by, values = [...this.values];
    if (to < 0 || to >= values.length) return;
    [values[number], values[to]] = [values[to], values[number]];
    this.lay(values, to);
  }

  remove(number) {
    const unit = this.values[number];
    this.lay(this.values.toSpliced(number, 1), Math.min(number, this.values.length - 2));
    toast("The guide is removed.", { undo: () => this.lay(this.values.toSpliced(number, 0, unit), Math.min(number, this.values.length)) });
  }

  get size() {
    const { width, height } = { ...this.form.values, ...this.form.pending };
    return [Number(width) || 512, Number(height) || 512];
  }
}

function parsed(text) {
  try { return JSON.parse(text) ?? []; } catch { return []; }
}
