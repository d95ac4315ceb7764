// The cell that has the focus: what it is called, and what can be done with it, as a bar above the grid and as a menu at the cell.
import { PictureActions } from "../../parts/picture_actions.js";
import { openLightbox } from "../../parts/lightbox.js";
import { openMenu } from "../../parts/popup_menu.js";
import { make } from "../../scripts/dom.js";
import { translated } from "../../scripts/translate.js";
import { stateOf } from "./cell.js";

const CALM = 200;       // ms that a cell keeps the focus before its picture is asked about

export class CellBar {
  constructor(viewer) {
    this.viewer = viewer;
    this.key = null;
    this.name = make("p", { class: "cell-name", translate: "no" });
    const tools = make("div", { class: "cell-tools", role: "group", "aria-label": "The picture of this cell" });
    this.compareButton = make("button", { type: "button", class: "act", title: "Compare with another cell (X)", onclick: () => viewer.compare(this.key) }, "Compare");
    this.differButton = make("button", { type: "button", class: "act", "aria-pressed": "false", title: "Where the other cells differ from this one, as colours", onclick: () => viewer.differ(this.differs ? null : this.key) }, "Differences");
    this.moreButton = make("button", { type: "button", class: "act", "aria-haspopup": "menu", title: "Everything that can be done with the cell (M)", onclick: ({ currentTarget }) => this.menu(this.key, currentTarget) }, "More…");
    this.root = make("div", { class: "cell-bar", role: "group", "aria-label": "This cell" }, this.name, tools, this.compareButton, this.differButton, this.moreButton);
    this.actions = new PictureActions(tools, { tab: "txt2img", shown: () => this.picture });
  }

  get picture() { return this.key && this.viewer.plot ? this.viewer.plot.picture(this.key) : null; }
  get differs() { return Boolean(this.viewer.heat.reference); }

  enter(key) {
    if (key === this.key) return;
    this.key = key;
    this.render();
  }

  render() {
    const { viewer } = this, { plot } = viewer;
    if (!plot) return;
    if (!this.key || !viewer.grid.down || !plot.cells.has(this.key)) this.key = viewer.grid.down ? viewer.grid.current : null;
    const score = this.key && viewer.scores.of(this.key), first = viewer.comparing;
    this.name.textContent = first ? translated(`Choose the cell to compare with ${plot.named(first)}`) : this.key ? [plot.named(this.key), score?.words].filter(Boolean).join(" · ") : "";
    this.compareButton.setAttribute("aria-pressed", String(Boolean(first)));
    this.compareButton.disabled = !this.picture && !first;
    this.differButton.textContent = this.differs ? "End the differences" : "Differences";
    this.differButton.setAttribute("aria-pressed", String(this.differs));
    this.differButton.disabled = !this.picture && !this.differs;
    clearTimeout(this.due);
    this.due = setTimeout(() => this.actions.render(), CALM);
  }

  byKey(event) {
    this.actions.render();
    return this.actions.byKey(event);
  }

  menu(key, at) {
    if (!key) return;
    this.viewer.grid.focusKey(key, true);
    openMenu(at, "This cell", this.entries(key));
  }

  entries(key) {
    const { viewer } = this, { plot, layout } = viewer, picture = plot.picture(key), { column, row } = layout.whereIs(key), state = stateOf(plot, key);
    const hide = (axis, at, label) => axis === null ? [] : [{ label, act: () => viewer.lay(one => one.hide(axis, at)), disabled: layout.shown(axis).length < 2 }];
    return [
      ...(picture ? [{ label: "Full screen", act: () => openLightbox(viewer, picture.id) }, { label: "Compare with another cell", act: () => viewer.compare(key) },
        { label: "Differences to this cell", act: () => viewer.differ(key) }, { label: "Take as the reference of scores", act: () => viewer.scores.refer(key) }] : []),
      ...(["failed", "cancelled"].includes(state) ? [{ label: "Try again", act: () => viewer.again(key) }] : []),
      ...(picture || state === "binned" ? [{ label: "Draw again", act: () => viewer.again(key, "redraw") }] : []),
      ...hide(layout.columns, column, "Hide this column"), ...hide(layout.rows, row, "Hide this row"),
    ];
  }
}
