// The form of a tab: kept in the browser, filled from a picture or an infotext, marked where a field is wrong.
import { note, toast } from "../parts/notices.js";
import { appeared, find, findAll, make } from "./dom.js";
import { on, tell } from "./events.js";
import { fields } from "./fields.js";
import { defaultsOf } from "./preferences.js";
import { store, stored } from "./storage.js";
import { openTab } from "./tabs.js";

const BATCH = ["batch_count", "batch_size"];  // habits of the person, not of a picture
const PAINTED = ["init_image", "mask", "paint", "editor_mode"];     // what a tab with a picture has
const LATE = 3000;        // ms for what is loaded with its fold
const AS_IT_IS = { __type__: "update" };      // to Gradio: this field is not touched
let facts = { default: "", defaults: {}, examples: {} }, heard;
const learned = new Promise(resolve => { heard = resolve; });

const written = value => JSON.stringify(value ?? null);

const inputOf = box => find("input, select, textarea", box);
const rowOf = name => fields[name] ?? fields[name.replace(/\[\d+\]\..*$/, "")]?.record?.[name.replace(/^.*\]\./, "")];

// Seeds have more digits than a number here; a number that may be left empty is the text of one; a list is its JSON.
function asText(name, value) {
  if (fields[name]?.record || fields[name]?.kind === "pictures") return typeof value === "string" ? value : JSON.stringify(value ?? []);
  if (fields[name]?.kind === "seed") return String(value ?? -1);
  return ["int", "float"].includes(fields[name]?.kind) && fields[name].default === "" ? String(value ?? "") : value;
}

// A number that may be left empty is kept as text. In forms that older versions kept it is a number, and 0 where it was empty.
const madeOfNothing = (name, value) => value === 0 && fields[name]?.default === "" && ["int", "float"].includes(fields[name].kind);

class Form {
  constructor(tab) {
    this.tab = tab;
    this.key = `easel.form.${tab}`;
    this.values = {};
    this.restored = false;
    this.checkpoint = "";
    this.pending = {};
    this.fillings = 0;      // given to Gradio, and not yet in all of the fields
    this.former = {};       // field -> the values that such a filling replaces
    this.asking = [];       // who waits for the values as the fields have them
  }

  // "units[0].model" is the field of a record.
  element(name) {
    return this.ids(name).map(id => find(`#${id}`)).find(Boolean) ?? null;
  }

  ids(name) {
    const id = name.replace(/\[(\d+)\]\./, "_$1_");
    return [`${this.tab}_${id}`, id];
  }

  // This browser tab's own form first; a new one starts from the last that was used.
  kept() {
    const kept = stored(sessionStorage, this.key) ?? stored(localStorage, this.key);
    return kept && Object.fromEntries(Object.entries(kept).filter(([name, value]) => !madeOfNothing(name, value)));
  }

  restore(names, values) {
    const kept = this.kept() ?? defaultsOf(this.tab);
    this.restored = true;
    return this.fill(names, values, names.map((name, i) => name in kept ? kept[name] : values[i]));
  }

  // Gradio sets the fields one after the other, and tells of each with all the others as they are by then. Until it
  // has set them all, a value that was replaced is no choice of the person. A field that has its value is left alone:
  // what a person types there meanwhile would be lost.
  fill(names, values, wanted) {
    const before = this.values, calm = !this.fillings;
    const next = names.map((name, i) => asText(name, wanted[i]));
    names.forEach((name, i) => {
      const former = this.former[name] ??= new Set();
      for (const value of [values[i], this.values[name]]) if (written(value) !== written(next[i])) former.add(written(value));
    });
    this.fillings++;
    this.known(names, next);
    this.keep();        // a refresh may come before Gradio has told of them
    return names.map((name, i) => {
      const there = written(values[i]) === written(next[i]), sure = calm || written(before[name]) === written(next[i]);
      return there && sure ? AS_IT_IS : this.values[name];
    });
  }

  filled(names, values) {
    this.fillings--;
    if (!this.fillings) this.former = {};
    this.save(names, values);
  }

  // What Gradio tells, without what is only on its way out of the fields.
  told(names, values) {
    return names.map((name, i) => this.former[name]?.has(written(values[i])) ? this.values[name] : values[i]);
  }

  save(names, values) {
    if (!this.restored) return;
    const told = this.told(names, values);
    names.forEach((name, i) => { if (written(told[i]) !== written(this.values[name])) this.unmark(name); });
    this.known(names, told, this.checkpoint);
    this.keep();
  }

  keep() {
    store(sessionStorage, this.key, this.values);
    store(localStorage, this.key, this.values);
  }

  // What Generate sends: what Gradio tells, and over it what is still on its way into the fields. It is kept at once: told
  // again a moment later it would pass for a change, and take the mark of what was wrong with it away.
  asked(names, values) {
    this.save(names, values);
    return this.told(names, values).map((value, i) => names[i] in this.pending ? this.pending[names[i]] : value);
  }

  // The values as the fields have them at this moment: what was typed a moment ago has not been told yet. A tab that was
  // never opened has nothing newer to tell.
  async fresh() {
    const shown = await this.shown();
    return { ...shown, ...this.pending };
  }

  // The same without what is still on its way into the fields.
  shown() {
    const button = find(`#${this.tab}_tell`);
    if (!button) return Promise.resolve(this.values);
    const answer = new Promise(resolve => this.asking.push(resolve));
    button.click();
    return answer;
  }

  tells(names, values) {
    this.save(names, values);
    for (const resolve of this.asking.splice(0)) resolve(this.values);
  }

  known(names, values, checkpoint) {
    this.values = Object.fromEntries(names.map((name, i) => [name, values[i] ?? null]));
    this.checkpoint = checkpoint ?? this.values.checkpoint;
    tell("form", this);
  }

  fitting(checkpoint, name) {
    return facts.defaults[checkpoint]?.[name] ?? fields[name]?.default;
  }

  // Another checkpoint: values that were the former one's defaults follow, the person's own stay.
  // Gradio tells of one choice twice; the second time its values can be those from before the first.
  async follow(names, values) {
    await Promise.race([learned, new Promise(resolve => setTimeout(resolve, 5000))]);
    const former = this.checkpoint, next = values[names.indexOf("checkpoint")], told = this.told(names, values);
    if (next === former) return this.fill(names, values, names.map(name => this.values[name]));
    return this.fill(names, values, names.map((name, i) => {
      if (name === "checkpoint") return next;
      return told[i] === this.fitting(former, name) ? this.fitting(next, name) : told[i];
    }));
  }

  // As a new browser would start: the person's own defaults, over what suits the checkpoint. Pictures and prompt stay.
  home() {
    const own = defaultsOf(this.tab);
    const starts = Object.keys(this.values).filter(name => fields[name]?.start);
    this.replace(Object.fromEntries(starts.map(name => [name, name in own ? own[name] : this.fitting(this.checkpoint, name)])), "Your defaults are back.");
  }

  // Values that take the place of others, with words about it and a way back, also to what was typed a moment ago: the fields
  // are asked before they get the values. `also` names what may change by it, too.
  async replace(values, text, also = []) {
    const { pending } = this, asked = this.shown();
    this.apply(values);
    const known = { ...await asked, ...pending }, names = [...also, ...Object.keys(values)].filter(name => name in known);
    const before = Object.fromEntries(names.filter(name => also.includes(name) || written(known[name]) !== written(values[name])).map(name => [name, known[name]]));
    toast(text, { undo: Object.keys(before).length ? () => this.apply(before) : null });
  }

  apply(values) {
    this.pending = { ...this.pending, ...Object.fromEntries(Object.entries(values).map(([name, value]) => [name, asText(name, value)])) };
    appeared(`#${this.tab}_apply`).then(button => button.click());
  }

  take(names, values) {
    const told = this.told(names, values), wanted = this.pending;
    this.pending = {};
    return this.fill(names, values, names.map((name, i) => name in wanted ? wanted[name] : told[i]));
  }

  // `plot`: kind, axes and options, where the settings are those of a plot.
  reuse(request, plot = null) {
    openTab(this.tab);
    this.replace(Object.fromEntries(Object.entries(request).filter(([name]) => name in fields && !BATCH.includes(name))), "Settings taken over.", PAINTED);
    tell("reused", { form: this, request, plot });
  }

  answer(answer) {
    findAll(".wrong").forEach(box => this.clear(box));
    if (answer?.problems) this.mark(answer.problems);
    if (answer?.problems) tell("refused", { tab: this.tab });
    else if (answer?.job) {
      tell("submitted", { job: answer.job, tab: this.tab });
      for (const text of answer.notes ?? []) note(text, 12000);
      this.settle(answer.sizes ?? {});
    }
    tell("answered", this.tab);
  }

  // The form shows the sizes that are drawn, where they are still those that were sent.
  settle(sizes) {
    const now = { ...this.values, ...this.pending }, changed = Object.entries(sizes).filter(([name, [sent]]) => now[name] === sent);
    if (changed.length) this.apply(Object.fromEntries(changed.map(([name, [, drawn]]) => [name, drawn])));
  }

  async mark(problems, focus = true) {
    const boxes = [];
    for (const { field, message } of problems) {
      const box = field && await this.unfolded(field);
      if (box) boxes.push(this.wrong(box, field, message));
      else note(sentence(field, message), 12000);
    }
    if (focus && boxes[0]) inputOf(boxes[0])?.focus();
  }

  wrong(box, name, message) {
    this.clear(box);
    const input = inputOf(box);
    const id = `${this.tab}_${name}_problem`;
    box.classList.add("wrong");
    input?.setAttribute("aria-invalid", "true");
    input?.setAttribute("aria-describedby", id);
    box.append(make("p", { class: "problem", id, role: "alert" }, sentence(name, message)));
    return box;
  }

  says(name, message) {
    const box = this.element(name);
    return Boolean(box) && find(".problem", box)?.textContent === sentence(name, message);
  }

  unmark(name) {
    const box = this.element(name);
    if (box?.classList.contains("wrong")) this.clear(box);
  }

  clear(box) {
    box.classList.remove("wrong");
    find(".problem", box)?.remove();
    const input = inputOf(box);
    input?.removeAttribute("aria-invalid");
    input?.removeAttribute("aria-describedby");
  }

  // Fields in a closed fold are hidden, or not on the page before it opens for the first time; a record's lies in another.
  async unfolded(name) {
    const seen = () => this.element(name)?.checkVisibility();
    const own = this.element(name)?.closest(".gr-accordion");
    const named = ["", "_$1"].map(end => () => find(`#${this.tab}_${name.replace(/\[(\d+)\].*$/, end)}_fold`));
    const places = own || named[0]() ? [...named, () => own] : findAll(".gr-accordion").map(fold => () => fold);
    for (const place of seen() ? [] : places) {
      const closed = place() && find(":scope > button:not(.open)", place());
      if (!closed) continue;
      closed.click();
      await new Promise(resolve => setTimeout(resolve, 150));
      tell("unfold", { tab: this.tab, name });
      if (seen()) break;
    }
    if (!seen()) tell("unfold", { tab: this.tab, name });       // what is not in sight may be folded in a way of its own
    if (!this.element(name) && /\[\d+\]/.test(name) && named[0]()) await this.comes(name);
    return this.element(name);
  }

  // What is in some folds is loaded when they are first opened.
  comes(name) {
    const ids = this.ids(name).map(id => `#${id}`).join();
    return Promise.race([appeared(ids), new Promise(resolve => setTimeout(resolve, LATE))]);
  }
}

const forms = {};
export const sentence = (name, message) => {
  const whole = /^[A-Z]/.test(message);
  const row = rowOf(name ?? ""), text = row && !whole ? `${row.label} ${message}` : message[0].toUpperCase() + message.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
};

export const formOf = tab => forms[tab] ??= new Form(tab);
export function learn(news) {
  facts = news ?? facts;
  heard();
  for (const form of Object.values(forms)) if ("checkpoint" in form.values && !form.kept() && !form.values.checkpoint) form.apply({ checkpoint: facts.default, ...facts.defaults[facts.default], ...defaultsOf(form.tab) });
  tell("facts", facts);
}

export const examplePrompts = tab => facts.examples[formOf(tab).checkpoint] ?? [];
on("problems", ({ tab, problems }) => formOf(tab).mark(problems));
