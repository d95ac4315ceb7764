// What the History tab searches for: the bar above the pictures. It is kept over a refresh of the page.
import { find, findAll, make } from "../../scripts/dom.js";
import { fields } from "../../scripts/fields.js";
import { sentence } from "../../scripts/form.js";
import { ask } from "../../scripts/http.js";
import { store, stored } from "../../scripts/storage.js";

const KEY = "easel.history", PAUSE = 250;   // ms after the last letter

export class HistorySearch {
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    this.show(stored(sessionStorage, KEY) ?? {});
    form.addEventListener("submit", event => { event.preventDefault(); this.settle(0); });
    form.addEventListener("input", event => this.settle(event.target.matches('[type="search"], [type="text"]') ? PAUSE : 0));
    find(".history-fold", form).addEventListener("click", () => this.fold(!form.classList.contains("unfolded")));
  }

  // Only what is asked for, by the names of the query.
  get values() {
    const given = [...new FormData(this.form)].map(([name, value]) => [name, value.trim()]);
    return Object.fromEntries(given.filter(([, value]) => value));
  }

  get binned() { return "binned" in this.values; }
  get narrowed() { return Object.keys(this.values).some(name => !["binned", "order"].includes(name)); }
  get onlyBoard() { return Boolean(this.board) && Object.keys(this.values).every(name => ["board", "order"].includes(name)); }
  get board() { return this.form.elements.board.value; }
  get order() { return this.form.elements.order.value; }

  // Days are those of this clock.
  query(more = {}) {
    return `/easel/history?${new URLSearchParams({ zone: -new Date().getTimezoneOffset(), ...this.values, ...more })}`;
  }

  show(values) {
    for (const field of this.form.elements) {
      if (!field.name) continue;
      if (field.type === "checkbox") field.checked = field.name in values;
      else if (field.tagName === "SELECT") this.choose(field, values[field.name] ?? "");
      else field.value = values[field.name] ?? "";
    }
    this.count();
  }

  // A choice that is no longer among the pictures stays to be seen, and to be taken back.
  choose(select, value) {
    if (![...select.options].some(option => option.value === value)) select.append(make("option", { value, translate: "no" }, value));
    select.value = value;
  }

  clear() {
    const { binned, order } = this.values;
    this.show({ ...(binned && { binned }), ...(order && { order }) });
    this.settle(0);
    this.form.elements.q.focus({ preventScroll: true });
  }

  showBoard(id) {
    this.form.elements.board.value = id;
    this.settle(0);
  }

  settle(pause) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      store(sessionStorage, KEY, this.values);
      this.count();
      this.changed();
    }, pause);
  }

  count() {
    const hidden = findAll(".history-fields [name]", this.form).filter(field => field.value).length;
    find(".history-fold", this.form).textContent = hidden ? `Filters (${hidden})` : "Filters";
  }

  fold(open) {
    this.form.classList.toggle("unfolded", open);
    find(".history-fold", this.form).setAttribute("aria-expanded", open);
  }

  async learn() {
    const choices = await ask("/easel/history/choices");
    for (const [name, list] of [["checkpoint", choices.checkpoints], ["sampler", choices.samplers]]) {
      const select = this.form.elements[name], value = select.value;
      select.replaceChildren(select.options[0], ...list.map(one => make("option", { value: one, translate: "no" }, one)));
      this.choose(select, value);
    }
  }

  knows(row) {
    const has = (name, value) => !value || [...this.form.elements[name].options].some(option => option.value === value);
    return has("checkpoint", row.model) && has("sampler", row.sampler);
  }

  refuse(problems) {
    const place = find(".problem", this.form), wrong = problems.map(problem => problem.field);
    place.hidden = !problems.length;
    place.textContent = problems.map(({ field, message }) => this.sentence(field, message)).join(" ");
    for (const field of this.form.elements) if (field.name) field.setAttribute("aria-invalid", wrong.includes(field.name));
    if (findAll(".history-fields [aria-invalid=true]", this.form).length) this.fold(true);
  }

  sentence(field, message) {
    const label = this.form.elements[field]?.labels?.[0]?.firstChild.textContent;
    return sentence(field, label && !fields[field] ? `${label} ${message}` : message);
  }
}
