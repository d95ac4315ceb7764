// The list of plots, newest first.
import { note } from "../../parts/notices.js";
import { find, make } from "../../scripts/dom.js";
import { ask } from "../../scripts/http.js";
import { openTab } from "../../scripts/tabs.js";
import { translated } from "../../scripts/translate.js";
import { progressWords } from "./progress_text.js";

const PAGE = 24, GATHERING = 500;       // ms in which news of several cells are one question

export class PlotList {
  constructor(open) {
    this.open = open;
    this.plots = [];
    this.items = make("ul", { class: "plot-list", "aria-label": "Plots, newest first" });
    this.more = make("button", { type: "button", class: "act", hidden: true, onclick: () => this.load(this.plots.at(-1)?.id) }, "Show older plots");
    this.empty = make("div", { class: "plots-empty", hidden: true }, make("p", {}, "There are no plots yet. A plot draws every combination of some settings and lays the pictures out as a grid."),
      make("button", { type: "button", class: "act", onclick: () => this.begin() }, "Draw the first one in txt2img"));
    this.root = make("div", { class: "plots-list" }, this.items, this.more, this.empty);
    this.items.addEventListener("click", event => { const id = event.target.closest("[data-plot]")?.dataset.plot; if (id) this.open(id); });
  }

  async begin() {
    await openTab("txt2img");
    const fold = find("#txt2img_plot_fold > button");
    if (!fold?.classList.contains("open")) fold?.click();
    fold?.scrollIntoView({ block: "center" });
    fold?.focus({ preventScroll: true });
  }

  // `focused`: the plot that was open, which gets the focus.
  async refresh(focused) {
    await this.load();
    if (focused) find(`[data-plot="${CSS.escape(focused)}"]`, this.items)?.focus({ preventScroll: true });
  }

  async load(before) {
    try {
      const { plots } = await ask(`/easel/plots?${new URLSearchParams({ limit: PAGE, ...(before && { before }) })}`);
      const kept = before ? this.plots : [];
      this.plots = [...kept, ...plots.filter(one => !kept.some(other => other.id === one.id))];
      this.more.hidden = plots.length < PAGE;
      this.render();
    } catch (error) { note(error.message, 8000); }
  }

  render() {
    const focused = this.items.contains(document.activeElement) ? document.activeElement.dataset.plot : null;
    this.empty.hidden = this.plots.length > 0;
    this.items.replaceChildren(...this.plots.map(plot => make("li", {}, this.card(plot))));
    if (focused) find(`[data-plot="${CSS.escape(focused)}"]`, this.items)?.focus({ preventScroll: true });
  }

  card(plot) {
    const cover = make("span", { class: "plot-cover" }, ...(plot.cover ? [make("img", { src: plot.cover, alt: "", loading: "lazy", decoding: "async" })] : []));
    const made = new Date(plot.created).toLocaleString(document.documentElement.lang || undefined, { dateStyle: "medium", timeStyle: "short" });
    return make("button", { type: "button", class: "plot-card", "data-plot": plot.id, "data-state": plot.state, translate: "no" }, cover,
      make("span", { class: "plot-card-title" }, plot.title || translated("Plot without a title")), make("span", { class: "plot-card-axes" }, plot.axes.join(" × ")),
      make("span", { class: "plot-card-state" }, progressWords(plot)), make("span", { class: "plot-card-when" }, made));
  }

  heard({ id, ...now }) {
    const plot = this.plots.find(one => one.id === id);
    clearTimeout(this.due);
    if (!plot) this.due = setTimeout(() => this.load(), GATHERING);
    else { Object.assign(plot, now); this.due = setTimeout(() => this.render(), GATHERING); }
  }
}
