// The head of a plot: its title, how far it has come, and what is done with the whole of it.
import { PictureValues } from "../../parts/plot_form/picture_values.js";
import { openShare } from "../../parts/share.js";
import { openSheet } from "../../parts/dialog.js";
import { toast } from "../../parts/notices.js";
import { find, make } from "../../scripts/dom.js";
import { formOf } from "../../scripts/form.js";
import { post } from "../../scripts/http.js";
import { translated } from "../../scripts/translate.js";
import { openExport } from "./exports.js";
import { progressWords } from "./progress_text.js";

const ACTS = [["pause", "Pause"], ["resume", "Go on"], ["cancel", "Cancel"], ["again", "Try the failed ones again"], ["add", "Add values…"], ["repeat", "Repeat with changes"],
  ["scores", "Scores"], ["export", "Export…"], ["share", "Share…"], ["delete", "Delete…"]];

export class PlotHeader {
  constructor(viewer) {
    this.viewer = viewer;
    this.title = make("h2", { class: "plot-title", translate: "no" });
    this.state = make("p", { class: "plot-state", role: "status", translate: "no" });
    this.line = make("i", {});
    this.progress = make("div", { class: "progress-bar", role: "progressbar", "aria-label": "Plot", "aria-valuemin": 0, "aria-valuemax": 100 }, this.line);
    this.acts = make("div", { class: "plot-acts", role: "group", "aria-label": "This plot" },
      ...ACTS.map(([name, label]) => make("button", { type: "button", class: "act", "data-plot-act": name, "aria-haspopup": label.endsWith("…") ? "dialog" : null }, label)));
    find('[data-plot-act="scores"]', this.acts).setAttribute("aria-expanded", "false");
    this.acts.addEventListener("click", event => { const name = event.target.closest("[data-plot-act]")?.dataset.plotAct; if (name) this.act(name); });
    this.root = make("header", { class: "plot-top" },
      make("div", { class: "plot-heading" }, make("button", { type: "button", class: "act", onclick: () => viewer.hands.back() }, "All plots"), this.title,
        make("button", { type: "button", class: "tool icon-edit", "aria-label": "Give it another title", title: "Give it another title", onclick: () => this.rename() })),
      this.acts, make("div", { class: "plot-progress" }, this.progress, this.state));
  }

  render() {
    const { plot } = this.viewer, share = plot.total ? (plot.done + plot.failed) / plot.total : 0;
    this.title.textContent = plot.title || translated("Plot without a title");
    const words = progressWords(plot);
    if (this.state.textContent !== words) this.state.textContent = words;
    this.line.style.transform = `scaleX(${share})`;
    this.progress.setAttribute("aria-valuenow", Math.round(share * 100));
    this.progress.setAttribute("aria-valuetext", words);
    const seen = { pause: plot.lives, resume: ["paused", "cancelled"].includes(plot.state), cancel: plot.lives || plot.state === "paused", again: plot.failed > 0, add: plot.kind === "xyz" };
    for (const [name, on] of Object.entries(seen)) this.button(name).hidden = !on;
    if (!this.acts.contains(document.activeElement) && document.activeElement === document.body && this.focused) this.button(this.focused).focus({ preventScroll: true });
    this.focused = null;
  }

  button(name) { return find(`[data-plot-act="${name}"]`, this.acts); }

  async act(name) {
    const { viewer } = this, acts = { add: () => this.add(), repeat: () => this.repeat(), scores: () => this.openScores(), export: () => openExport(viewer), share: () => openShare("plot", viewer.plot.id), delete: () => this.remove(), again: () => viewer.act("retry") };
    if (acts[name]) return acts[name]();
    this.focused = { pause: "resume", resume: "pause" }[name];      // the button that takes its place
    await viewer.act(name);
  }

  openScores() {
    const { root } = this.viewer.scores, on = root.hidden;
    this.viewer.scores.reveal(on);
    this.button("scores").setAttribute("aria-expanded", String(on));
    if (on) root.scrollIntoView({ block: "nearest" });
  }

  rename() {
    const { viewer } = this, input = make("input", { type: "text", maxlength: 200, value: viewer.plot.title, autocomplete: "off" });
    const sheet = openSheet("Title of the plot", "plot-sheet", make("form", { class: "plot-form-sheet", onsubmit: async event => {
      event.preventDefault();
      if (await viewer.act("title", { title: input.value.trim() })) sheet.close();
    } }, make("label", {}, "Title", input), make("div", { class: "sheet-acts" }, make("button", { type: "submit", class: "act strong" }, "Save"))));
    input.focus();
  }

  add() {
    const { viewer } = this, { plot } = viewer, axis = make("select", {}, ...plot.axes.map(({ label }, at) => make("option", { value: at, translate: "no" }, `${plot.letter(at)}: ${label}`)));
    const values = make("input", { type: "text", autocomplete: "off", spellcheck: "false", required: true }), problem = make("p", { class: "problem", role: "alert", hidden: true });
    const pictures = new PictureValues({ get text() { return values.value; }, set: text => { values.value = text; } }, () => plot.letter(Number(axis.value)));
    const typed = make("label", {}, "New values", values), chosen = () => {
      const pictured = Boolean(plot.axes[axis.value].pictures);
      values.value = "";
      [typed.hidden, values.required, pictures.root.hidden] = [pictured, !pictured, !pictured];
      pictures.show();
      (pictured ? pictures.file : values).focus();
    };
    const sheet = openSheet("Add values to an axis", "plot-sheet", make("p", { class: "sheet-hint" }, "Only the new cells are drawn. Values are written as when the plot was begun: 9, 11 or 10-20 (+5)."),
      make("form", { class: "plot-form-sheet", onsubmit: event => { event.preventDefault(); send(); } }, make("label", {}, "Axis", axis), typed, pictures.root, problem,
        make("div", { class: "sheet-acts" }, make("button", { type: "submit", class: "act strong" }, "Draw them"))));
    const send = async () => {
      problem.hidden = true;
      values.removeAttribute("aria-invalid");
      try {
        await post(`/easel/plots/${plot.id}/extend`, { axis: Number(axis.value), values: values.value });
        sheet.close();
        await viewer.renew();
      } catch (error) {
        problem.textContent = error.message;
        problem.hidden = false;
        values.setAttribute("aria-invalid", "true");
      }
    };
    axis.addEventListener("change", chosen);
    chosen();
  }

  repeat() {
    const { plot } = this.viewer, { request, kind, axes, options } = plot;
    formOf(plot.source(plot.first) ? "img2img" : "txt2img").reuse(request, { kind, axes: axes.map(({ label, typed }) => ({ label, values: typed })), options });
  }

  remove() {
    const { viewer } = this, { plot } = viewer, pictures = make("input", { type: "checkbox" });
    const sheet = openSheet("Delete this plot?", "plot-sheet", make("p", {}, "What is not drawn yet is cancelled, and the plot is gone for good. Its finished pictures stay in the history."),
      make("label", { class: "check" }, pictures, "Put its pictures into the bin, too"),
      make("div", { class: "sheet-acts" }, make("button", { type: "button", class: "act danger", onclick: async () => {
        if (!await viewer.tried(() => post(`/easel/plots/${plot.id}/delete`, { pictures: pictures.checked }))) return;
        sheet.close();
        toast("The plot is deleted.");
      } }, "Delete it"), make("button", { type: "button", class: "act", autofocus: true, onclick: () => sheet.close() }, "Keep it")));
  }
}
