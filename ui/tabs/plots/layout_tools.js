// How the grid is laid out: which axis lies where, which page is seen, how large the cells are, what is hidden.
import { openMenu } from "../../parts/popup_menu.js";
import { make } from "../../scripts/dom.js";
import { translated } from "../../scripts/translate.js";
import { LEAST, MOST } from "./grid.js";

export class PlotLayoutTools {
  constructor(viewer) {
    this.viewer = viewer;
    this.columns = this.select("columns");
    this.rows = this.select("rows");
    this.swap = make("button", { type: "button", class: "tool icon-swap plot-swap", "aria-label": "Swap rows and columns", title: "Swap rows and columns", onclick: () => viewer.lay(layout => layout.transpose()) });
    this.pages = make("div", { class: "plot-pages" });
    this.size = make("input", { type: "range", class: "slider", min: LEAST, max: MOST, step: 4, "aria-label": "How large the cells are", oninput: () => viewer.sized(Number(this.size.value)) });
    this.fit = make("button", { type: "button", class: "act", title: "So large that the whole page of the plot is seen", onclick: () => viewer.fit() }, "Fit");
    this.shown = make("button", { type: "button", class: "act", onclick: () => viewer.lay(layout => layout.showAll()) });
    this.root = make("div", { class: "plot-tools", role: "group", "aria-label": "The grid" }, make("label", {}, "Columns", this.columns), this.swap, make("label", {}, "Rows", this.rows), this.pages,
      make("label", { class: "plot-size" }, "Cells", this.size), this.fit, this.shown);
  }

  select(place) {
    const select = make("select", { onchange: () => this.viewer.lay(layout => layout.put(select.value === "" ? null : Number(select.value), place)) });
    return select;
  }

  render() {
    const { plot, layout, grid } = this.viewer, several = plot.axes.length > 1;
    for (const place of ["columns", "rows"]) this.fillSelect(this[place], layout[place]);
    this.swap.hidden = !several;
    for (const label of [this.columns.parentElement, this.rows.parentElement]) label.hidden = !several;
    const pages = JSON.stringify([plot.id, layout.pages, layout.page, plot.axes]);
    if (this.pages.dataset.shows !== pages) this.renderPages(pages);
    this.size.value = grid.wide;
    this.size.style.setProperty("--share", (grid.wide - LEAST) / (MOST - LEAST));
    this.shown.hidden = !layout.hiddenCount;
    this.shown.textContent = `Show all again (${layout.hiddenCount})`;
  }

  fillSelect(select, chosen) {
    const { plot } = this.viewer, axes = plot.axes.map(({ label }, axis) => make("option", { value: axis, translate: "no" }, `${plot.letter(axis)}: ${label}`));
    select.replaceChildren(...axes);
    select.value = chosen ?? "";
  }

  // One page of each further axis is seen at a time.
  renderPages(shows) {
    const { plot, layout } = this.viewer, focused = this.pages.contains(document.activeElement) ? document.activeElement.dataset.page : null;
    this.pages.dataset.shows = shows;
    this.pages.replaceChildren(...layout.pages.map(axis => {
      const { label, values } = plot.axes[axis];
      const select = make("select", { "data-page": `${axis}`, "aria-label": `${label}`, onchange: () => this.viewer.lay(one => { one.page[axis] = Number(select.value); }) },
        ...values.map((value, at) => make("option", { value: at, selected: at === layout.page[axis] }, value || "–")));
      const step = (by, sign, name) => make("button", { type: "button", class: "act", "data-page": `${axis} ${by}`, "aria-label": translated(name), title: translated(name), onclick: () => this.viewer.lay(one => one.turn(axis, by)) }, sign);
      return make("div", { class: "plot-page", role: "group", translate: "no", "aria-label": `${plot.letter(axis)}: ${label}` }, make("span", {}, `${plot.letter(axis)}: ${label}`), step(-1, "‹", "Page before"), select, step(1, "›", "Page behind"));
    }));
    if (focused) [...this.pages.querySelectorAll("[data-page]")].find(one => one.dataset.page === focused)?.focus({ preventScroll: true });
  }

  // What can be done with one row or column, by its label.
  head(axis, at, button) {
    const { viewer } = this, { layout, scores } = viewer, column = axis === layout.columns, other = column ? layout.rows : layout.columns, few = layout.shown(axis).length < 2;
    openMenu(button, column ? "This column" : "This row", [
      { label: column ? "Hide this column" : "Hide this row", disabled: few, act: () => viewer.lay(one => one.hide(axis, at)) },
      { label: column ? "Show only this column" : "Show only this row", disabled: few, act: () => viewer.lay(one => one.only(axis, at)) },
      ...(layout.hiddenCount ? [{ label: "Show all again", act: () => viewer.lay(one => one.showAll()) }] : []),
      ...(scores.kind && other !== null ? [{ label: column ? "Sort the rows by this column's scores" : "Sort the columns by this row's scores", act: () => scores.sortBy(axis, at) }] : []),
    ]);
  }
}
