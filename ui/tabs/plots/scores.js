// Scores of the cells: which are measured, how they colour and sort the grid, and a chart of one against an axis.
import { make } from "../../scripts/dom.js";
import { sentence } from "../../scripts/form.js";
import { addHelp } from "../../scripts/help.js";
import { ask, post } from "../../scripts/http.js";
import { translated } from "../../scripts/translate.js";
import { MOST_LINES, drawChart } from "./chart.js";
import { Distances } from "./fid.js";
import { chooseReference } from "./reference.js";

// name: [label, what it tells, whether it needs a reference]
const KINDS = {
  clip_t: ["CLIP-T", "How well the picture fits its prompt, by a CLIP network. Higher fits better.", false],
  clip_i: ["CLIP-I", "How alike the picture and the reference are in what they show, by a CLIP network. Higher is more alike.", true],
  ssim: ["SSIM", "How alike the structure of picture and reference is: 1 is equal.", true],
  psnr: ["PSNR", "How far the pixels are from the reference, in decibels. Higher is nearer.", true],
  sharpness: ["Sharpness", "How much fine detail the picture has.", false],
  spread: ["Spread over seeds", "How much the pictures of a row of seeds differ from each other. Needs an axis of seeds.", false],
};
const SEEING = ["clip_t", "clip_i", "spread"];
// Dark to light, told apart by those who do not see colours, too.
const LOW = [68, 1, 84], MIDDLE = [33, 145, 140], HIGH = [253, 231, 37];
const CHART = 760;      // CSS pixels that the chart is wide at most
const SORTS = [["", "As typed"], ["rows", "Rows by their mean"], ["columns", "Columns by their mean"], ["both", "Rows and columns by their mean"]];

const mixed = (a, b, share) => `rgb(${a.map((one, i) => Math.round(one + (b[i] - one) * share)).join(" ")})`;
const colour = share => share < 0.5 ? mixed(LOW, MIDDLE, share * 2) : mixed(MIDDLE, HIGH, share * 2 - 1);
const mean = values => values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
const written = value => Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(3);
const labelOf = kind => KINDS[kind]?.[0] ?? kind;

export class Scores {
  constructor(viewer) {
    Object.assign(this, { viewer, kind: "", sorting: "", by: null, reference: null, choices: null });
    this.boxes = make("div", { class: "score-kinds", role: "group", "aria-label": "What is measured" });
    this.told = make("p", { class: "score-told", role: "status", translate: "no" });
    this.problem = make("p", { class: "problem", role: "alert", hidden: true });
    this.apply = make("button", { type: "button", class: "act strong", onclick: () => this.measure() }, "Measure");
    this.outside = make("button", { type: "button", class: "act", "aria-haspopup": "dialog", title: "Compare with a picture that is no cell of this plot", onclick: () => chooseReference(image => this.take({ image })) }, "Other picture…");
    this.encoder = make("select", { "aria-label": "The CLIP network" });
    this.seen = make("label", { class: "score-encoder", hidden: true }, "By", this.encoder);
    this.distances = new Distances(viewer, () => this.offers());
    this.colours = make("select", { onchange: () => this.choose({ kind: this.colours.value }) });
    this.sorts = make("select", { onchange: () => this.choose({ sorting: this.sorts.value }) }, ...SORTS.map(([value, label]) => make("option", { value }, label)));
    this.best = make("button", { type: "button", class: "act", onclick: () => this.goToBest() }, "To the best cell");
    this.axis = make("select", { onchange: () => this.renderChart() });
    this.lines = make("select", { onchange: () => this.renderChart() });
    this.chart = make("div", { class: "score-chart" });
    this.scale = make("div", { class: "score-scale", translate: "no", "aria-hidden": "true" });
    this.use = make("div", { class: "score-use" }, make("label", {}, "Colour by", this.colours), make("label", {}, "Sort", this.sorts), this.best, this.scale,
      make("label", {}, "Chart over", this.axis), make("label", {}, "A line for each", this.lines));
    this.root = make("section", { class: "plot-scores", "aria-label": "Scores", hidden: true }, make("div", { class: "score-ask" }, this.boxes, this.seen, this.outside, this.apply, this.told, this.problem), this.use, this.chart, this.distances.root);
  }

  settle() {
    Object.assign(this, { kind: "", sorting: "", by: null, reference: null });
    this.refuse("");
    this.reveal(false);
  }

  reveal(on) {
    this.root.hidden = !on;
    if (on) this.render();
  }

  // Kinds that some cell has a number for.
  get measured() {
    const found = new Set();
    for (const cell of this.viewer.plot.cells.values()) for (const [kind, value] of Object.entries(cell.scores ?? {})) if (value !== null) found.add(kind);
    return [...found];
  }

  get on() { return this.viewer.plot.scores?.kinds ?? []; }
  get wanted() { return [...this.boxes.querySelectorAll("input:checked")].map(input => input.value); }

  // ---- what is measured ----

  // News of the plot, of its cells or not.
  heard() { if (!this.root.hidden && this.distances.waits) this.distances.refresh(); }

  render() {
    const { plot } = this.viewer;
    if (!plot || this.root.hidden) return;
    const on = this.on, key = JSON.stringify([plot.id, on]);
    if (this.boxes.dataset.shows !== key) this.renderBoxes(on, key);
    this.renderTold();
    this.fill(this.colours, [["", translated("Nothing")], ...this.measured.map(kind => [kind, labelOf(kind)])], this.kind);
    this.sorts.value = this.sorting;
    this.fill(this.axis, plot.axes.map(({ label }, axis) => [String(axis), label]), this.axis.value || "0");
    this.fill(this.lines, [["", translated("No other axis")], ...plot.axes.map(({ label }, axis) => [String(axis), label])], this.lines.value);
    this.use.hidden = !this.measured.length;
    this.renderScale();
    this.renderChart();
  }

  renderBoxes(on, shows) {
    this.boxes.dataset.shows = shows;
    this.boxes.replaceChildren(...Object.entries(KINDS).map(([kind, [label, help]]) => {
      const box = make("div", { class: "score-kind" }, make("label", {}, make("input", { type: "checkbox", value: kind, checked: on.includes(kind), onchange: () => this.renderTold() }), label));
      addHelp(box, label, help);
      return box;
    }));
  }

  renderTold() {
    const needs = this.wanted.some(kind => KINDS[kind][2]), { plot } = this.viewer, { cell, image } = this.chosen;
    const reference = !needs ? "" : image ? translated("Reference: a picture outside of this plot") : cell && plot.picture(cell) ? translated(`Reference: ${plot.named(cell)}`) : translated("Choose the reference first: the menu of a cell has an entry for it.");
    this.outside.hidden = !needs;
    this.renderEncoder();
    const told = [reference, this.progress()].filter(Boolean).join(" · ");
    if (this.told.textContent !== told) this.told.textContent = told;
  }

  // How many of the cells that are drawn have all scores that are switched on.
  progress() {
    const { plot } = this.viewer, on = this.on, drawn = [...plot.cells.values()].filter(cell => cell.image);
    const scored = drawn.filter(cell => on.every(kind => kind in (cell.scores ?? {}))).length;
    return on.length && scored < drawn.length ? translated(`Measured: ${scored} of ${drawn.length}`) : "";
  }

  // The cell that CLIP-I, SSIM and PSNR compare with.
  refer(key) {
    this.take({ cell: key });
    this.reveal(true);
    this.viewer.top.button("scores").setAttribute("aria-expanded", "true");
    this.root.scrollIntoView({ block: "nearest" });
  }

  take(reference) {
    this.reference = reference;
    this.renderTold();
  }

  get chosen() { return this.reference ?? this.viewer.plot.scores?.reference ?? {}; }

  // Asked once; a new CLIP or folder is there when the page is opened anew.
  offers() { return this.choices ??= ask("/easel/plots/scores").catch(error => { this.choices = null; this.refuse(error.message); return { encoders: [], folders: [], fid: error.message }; }); }

  // Which CLIP sees the pictures, where there are several.
  async renderEncoder() {
    const seeing = this.wanted.some(kind => SEEING.includes(kind)), { encoders } = await this.offers(), [now] = (this.viewer.plot?.scores?.encoder ?? "").split("@");
    this.seen.hidden = !seeing || !encoders.length;
    this.fill(this.encoder, [["", translated("The CLIP that fits")], ...encoders.map(name => [name, name])], this.encoder.value || now);
  }

  async measure() {
    const kinds = this.wanted, reference = this.chosen, named = Boolean(reference.cell || reference.image);
    if (kinds.some(kind => KINDS[kind][2]) && !named) return this.renderTold();
    const { plot } = this.viewer;
    this.refuse("");
    try { await post(`/easel/plots/${plot.id}/scores`, { kinds, ...(named && { reference }), ...(this.encoder.value && { encoder: this.encoder.value }) }); }
    catch (error) { return this.refuse(error.message); }
    if (plot === this.viewer.plot) await this.viewer.renew();
  }

  // Why nothing is measured stays in sight, beside what was asked for.
  refuse(message) {
    this.problem.textContent = message && sentence("", message);
    this.problem.hidden = !message;
  }

  fill(select, options, chosen) {
    const shows = JSON.stringify(options);
    if (select.dataset.shows !== shows) select.replaceChildren(...options.map(([value, label]) => make("option", { value, translate: "no" }, label)));
    select.dataset.shows = shows;
    select.value = options.some(([value]) => value === chosen) ? chosen : options[0]?.[0] ?? "";
  }

  // ---- how they show in the grid ----

  choose(change) {
    Object.assign(this, change, { by: null });
    this.viewer.relay();
    this.render();
  }

  values() { return [...this.viewer.plot.cells.keys()].map(key => this.viewer.plot.score(key, this.kind)).filter(value => value !== null); }

  // What a cell shows of the score that colours the grid.
  of(key) {
    if (!this.kind) return null;
    const value = this.viewer.plot.score(key, this.kind);
    if (value === null) return null;
    const [low, high] = this.range ??= bounds(this.values());
    queueMicrotask(() => { this.range = null; });       // the cells of one look share it
    return { text: written(value), words: `${labelOf(this.kind)} ${written(value)}`, colour: colour(high > low ? (value - low) / (high - low) : 1) };
  }

  sort() {
    const { layout } = this.viewer;
    layout.unsort();
    if (!this.kind) return;
    if (this.by) return layout.sort(this.by.other, at => this.viewer.plot.score(this.keyAt({ [this.by.axis]: this.by.at, [this.by.other]: at }), this.kind));
    if (layout.single !== null) return this.sorting ? layout.sort(layout.single, at => this.meanOf(layout.single, at)) : undefined;
    for (const place of ["rows", "columns"]) if ([place, "both"].includes(this.sorting)) layout.sort(layout[place], at => this.meanOf(layout[place], at));
  }

  keyAt(fixed) { return this.viewer.layout.page.map((at, axis) => fixed[axis] ?? at).join(","); }

  // Over the whole page that is seen.
  meanOf(axis, at) {
    const { plot, layout } = this.viewer, others = [layout.rows, layout.columns].filter(one => one !== axis && one !== null);
    const places = others.length ? plot.axes[others[0]].values.map((_, other) => this.keyAt({ [axis]: at, [others[0]]: other })) : [this.keyAt({ [axis]: at })];
    return mean(places.map(key => plot.score(key, this.kind)).filter(value => value !== null));
  }

  // By one row or column alone.
  sortBy(axis, at) {
    const { layout } = this.viewer;
    this.by = { axis, at, other: axis === layout.columns ? layout.rows : layout.columns };
    this.viewer.relay();
  }

  goToBest() {
    const { plot } = this.viewer, scored = [...plot.cells.keys()].map(key => [key, plot.score(key, this.kind || this.measured[0])]).filter(([, value]) => value !== null);
    const [best] = scored.sort(([, a], [, b]) => b - a)[0] ?? [];
    if (!best) return;
    this.viewer.lay(one => { one.showAll(); one.page = best.split(",").map(Number); });
    this.viewer.grid.focusKey(best);
  }

  renderScale() {
    const values = this.kind ? this.values() : [];
    this.scale.hidden = !values.length;
    if (!values.length) return;
    const [low, high] = bounds(values);
    this.scale.replaceChildren(make("span", {}, written(low)), make("i", { style: `background:linear-gradient(to right, ${[0, 0.25, 0.5, 0.75, 1].map(colour).join(", ")})` }), make("span", {}, written(high)));
  }

  renderChart() {
    if (this.root.hidden || !this.viewer.plot) return;
    const kind = this.kind || this.measured[0], axis = Number(this.axis.value || 0), lines = this.lines.value === "" || this.lines.value === this.axis.value ? null : Number(this.lines.value);
    const { plot, layout } = this.viewer, shown = lines === null ? [] : layout.shown(lines);
    this.chart.replaceChildren(...(kind && plot.axes[axis] ? [drawChart(plot, { kind, label: labelOf(kind), axis, lines, shown, wide: Math.min(CHART, this.chart.clientWidth || CHART) })] : []),
      ...(shown.length > MOST_LINES ? [make("p", { class: "score-told" }, `The first ${MOST_LINES} of ${shown.length} values are shown; hide some of them to see the others.`)] : []));
  }
}

const bounds = values => [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
