// The fold of scripts: what the chosen one takes, what it would cost, and the button that draws it.
import { find, make } from "../../scripts/dom.js";
import { on, tell } from "../../scripts/events.js";
import { formOf, sentence } from "../../scripts/form.js";
import { ask, post } from "../../scripts/http.js";
import { translated } from "../../scripts/translate.js";
import { seeded } from "../generate_forever.js";
import { note, toast } from "../notices.js";
import { AxisRow } from "./axis_row.js";
import { DryRun } from "./dry_run.js";
import { keepPlot, keptPlot } from "./form_state.js";
import { axisOf, offeredAxes, recordsOf } from "./record_axes.js";
import { freshRequest, typedRequest } from "./request.js";
import { startsOf, switchesOf } from "./switches.js";

const SCRIPTS = [["", "None"], ["xyz", "X/Y/Z plot"], ["prompt_matrix", "Prompt matrix"], ["prompts", "Prompts from file or textbox"]];
const HINTS = {
  xyz: "A grid over every combination of the values of two or more settings.",
  prompt_matrix: "Every combination of the parts of the prompt that stand behind the first | is drawn: a fox|in snow|at night makes four pictures.",
  prompts: "One picture for each line. A line may say more: --prompt \"a fox\" --steps 20 --seed 7.",
};
const LETTERS = ["X", "Y", "Z"], LARGEST = 2 ** 20;
let styled = null;

function styles() {
  return styled ??= new Promise(resolve => {
    const link = make("link", { rel: "stylesheet", href: new URL("./plot_form.css", import.meta.url).href });
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}

export class Fold {
  static async made(tab) {
    const [{ axes }] = await Promise.all([ask("/easel/plots/axes"), styles()]);
    return new Fold(tab, axes.filter(axis => !axis.tabs || axis.tabs.includes(tab)));
  }

  constructor(tab, types) {
    Object.assign(this, { tab, types, rows: [], sent: [] });
    this.script = make("select", { onchange: () => this.choose(this.script.value) }, ...SCRIPTS.map(([value, label]) => make("option", { value }, label)));
    this.hint = make("p", { class: "plot-hint" });
    this.list = make("div", { class: "axes" });
    this.add = make("button", { type: "button", class: "act", onclick: () => this.addAxis() }, "Add an axis");
    this.text = make("textarea", { rows: 5, "aria-label": "Lines of prompts", placeholder: "One prompt per line", oninput: () => this.save({ text: this.text.value }) });
    this.file = make("input", { type: "file", accept: ".txt,text/plain", onchange: () => this.read() });
    this.lines = make("div", { class: "plot-lines" }, this.text, make("label", { class: "act" }, "Read a file", this.file));
    this.switches = make("div", { class: "plot-switches" });
    this.problem = make("p", { class: "problem", role: "alert", hidden: true });
    this.dry = new DryRun(tab, { body: () => this.body(typedRequest(tab)), told: answer => this.judged(answer) });
    this.button = make("button", { type: "button", class: "act strong", onclick: () => this.draw(true) }, "Draw plot");
    this.own = make("div", { class: "plot-own" }, this.hint, this.list, this.add, this.lines, this.switches, this.problem, make("div", { class: "plot-go" }, this.button, this.dry.root));
    this.root = make("div", { class: "plot-fold" }, make("label", { class: "plot-script" }, "Script", this.script), this.own);
    this.show();
    on("form", form => { if (form.tab === tab && keptPlot(tab).script) this.formed(); });
  }

  put(place) {
    place.replaceChildren(this.root);
    for (const row of this.rows) row.grow();
  }

  // ---- what is kept ----

  get state() { return keptPlot(this.tab); }

  save(change) {
    keepPlot(this.tab, change);
    this.dry.soon();
  }

  // From what is kept.
  show() {
    const { script, axes, text } = this.state;
    this.script.value = script;
    this.own.hidden = !script;
    this.text.value = text;
    this.rows = axes.map((axis, at) => new AxisRow(this, LETTERS[at] ?? String(at + 1), axis));
    this.list.replaceChildren(...this.rows.map(row => row.root));
    for (const row of this.rows) row.render();
    this.hint.textContent = HINTS[script] ?? "";
    this.list.hidden = this.add.hidden = script !== "xyz";
    this.lines.hidden = script !== "prompts";
    this.switches.replaceChildren(...(script ? switchesOf(script, this.options, (name, value) => this.save({ options: { ...this.state.options, [script]: { ...this.options, [name]: value } } })) : []));
    this.say([]);
    this.dry.soon();
  }

  get options() {
    const { script, options } = this.state;
    return script ? { ...startsOf(script), ...options[script] } : {};
  }

  choose(script) {
    keepPlot(this.tab, { script });
    this.show();
  }

  // ---- the rows' hands ----

  // Records that are not in use have nothing to change; an axis that was chosen stays to be seen.
  offered(label) {
    const offered = offeredAxes(this.types, field => this.records(field)), chosen = label && axisOf(this.types, label);
    return !chosen || offered.some(axis => axis.label === label) ? offered : [...offered, chosen];
  }
  axisOf(label) { return axisOf(this.types, label); }
  records(field) { return recordsOf(field, { ...formOf(this.tab).values, ...formOf(this.tab).pending }); }

  formed() {
    const now = this.offered().length;
    if (now !== this.offers) for (const row of this.rows) row.offer();
    this.offers = now;
    this.dry.soon();
  }

  changed() { this.save({ axes: this.rows.map(row => row.told) }); }
  first(row) { return this.rows.indexOf(row) < 1; }

  swap(row) {
    const at = this.rows.indexOf(row), axes = this.rows.map(one => one.told);
    [axes[at - 1], axes[at]] = [axes[at], axes[at - 1]];
    this.lay(axes);
    this.rows[at - 1].focus();
  }

  remove(row) {
    const at = this.rows.indexOf(row), axes = this.rows.map(one => one.told).toSpliced(at, 1);
    this.lay(axes.length ? axes : [{ label: "", values: "" }]);
    this.rows[Math.min(at, this.rows.length - 1)].focus();
  }

  addAxis() {
    this.lay([...this.rows.map(row => row.told), { label: "", values: "" }]);
    this.rows.at(-1).focus();
  }

  lay(axes) {
    keepPlot(this.tab, { axes });
    this.show();
  }

  async read() {
    const [file] = this.file.files;
    this.file.value = "";
    if (!file) return;
    if (file.size > LARGEST) return note("This file is too large for a list of prompts.", 6000);
    this.text.value = (await file.text()).trim();
    this.save({ text: this.text.value });
  }

  // ---- what it costs, and what is wrong ----

  // What POST /easel/plots takes. An axis that changes nothing is left out.
  body(request) {
    const { script } = this.state, { vary_seeds_x: x, vary_seeds_y: y, vary_seeds_z: z, ...options } = this.options;
    this.sent = this.rows.filter(row => row.counts);
    if (script === "prompts") return { kind: script, request, axes: [], options: { ...options, text: this.state.text } };
    if (script === "prompt_matrix") return { kind: script, request, axes: [], options };
    const vary = [x, y, z].flatMap((varies, at) => varies && this.sent.includes(this.rows[at]) ? [LETTERS[this.sent.indexOf(this.rows[at])].toLowerCase()] : []);
    return { kind: script, request, axes: this.sent.map(row => row.told), options: { ...options, vary_seeds: vary } };
  }

  // An axis whose values are still to be typed is not wrong yet.
  judged({ problems = [], axes = [] }) {
    this.say(problems.filter(({ field }) => !this.unbegun(field)), false);
    this.sent.forEach((row, at) => { row.idle.hidden = !axes[at]?.idle; });
  }

  unbegun(field) {
    if (field === "axes" && !this.sent.length) return true;
    return this.sent[Number(/^axes\.(\d+)/.exec(field ?? "")?.[1])]?.values.value.trim() === "";
  }

  // Problems at the axis that they name; what remains is the form's, or is said above the button.
  say(problems, form = true) {
    for (const row of this.rows) row.say("");
    const others = problems.filter(({ field, message }) => {
      const [, at] = /^axes\.(\d+)/.exec(field ?? "") ?? [], row = this.sent[Number(at)];
      row?.say(message);
      return !row;
    });
    const own = others.filter(({ field }) => !form || !field || !find(`#${this.tab}_${CSS.escape(field)}`));
    this.problem.textContent = own.map(({ field, message }) => field === "axes" ? `${translated("Axes")} ${message}` : sentence(field, message)).join(" ");
    this.problem.hidden = !own.length;
    if (form) formOf(this.tab).mark(others.filter(one => !own.includes(one)));
  }

  // ---- drawn ----

  // `look`: the plot is shown at once.
  async draw(look = false) {
    if (this.drawing || !this.state.script) return;
    this.drawing = this.button.disabled = true;
    const form = formOf(this.tab);
    form.answer({});
    try {
      const plot = await post("/easel/plots", this.body(this.seeded(await freshRequest(this.tab))));
      this.say([]);
      if (look) location.hash = `#/plots/${plot.id}`;
      else toast("The plot is in the queue.", { link: ["Show the plot", `#/plots/${plot.id}`] });
      tell("plotted", { tab: this.tab, plot });
    } catch (error) {
      tell("refused", { tab: this.tab });
      if (!error.problems?.length) note(error.message, 8000);
      else await this.refused(error.problems);
    } finally { this.drawing = this.button.disabled = false; }
  }

  // In a chain of plots each draws its seed anew.
  seeded(request) {
    const names = Object.keys(request), values = seeded(this.tab, names, Object.values(request));
    return Object.fromEntries(names.map((name, i) => [name, values[i]]));
  }

  async refused(problems) {
    const fold = find(`#${this.tab}_plot_fold > button:not(.open)`);
    this.say(problems);
    const wrong = this.rows.find(row => row.wrong);
    if (!wrong && this.problem.hidden) return;
    fold?.click();
    await new Promise(resolve => setTimeout(resolve, 150));
    (wrong ?? this.button).focus();
  }

  // A plot that was drawn comes back, to be changed and drawn anew.
  take({ kind, axes, options }) {
    const { vary_seeds: vary = [], text = this.state.text, ...rest } = options, own = Object.fromEntries(LETTERS.map(letter => [`vary_seeds_${letter.toLowerCase()}`, vary.includes(letter.toLowerCase())]));
    keepPlot(this.tab, { script: kind, axes: axes.length ? axes : this.state.axes, text, options: { ...this.state.options, [kind]: { ...rest, ...(kind === "xyz" ? own : {}) } } });
    this.show();
    const button = find(`#${this.tab}_plot_fold > button`);
    if (!button?.classList.contains("open")) button?.click();
    button?.scrollIntoView({ block: "start" });
  }
}
