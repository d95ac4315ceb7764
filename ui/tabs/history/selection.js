// Which pictures of the History tab are selected, and the bar that says what can be done with them.
import { find } from "../../scripts/dom.js";

export class HistorySelection {
  constructor(root, grid) {
    this.root = root;
    this.grid = grid;
    this.ids = new Set();     // in the order of selecting
    this.marked = new Set();  // what the tiles show of it
    this.anchor = null;
    this.held = false;        // "Select" was pressed: a click on a picture selects it
  }

  get on() { return this.held || this.ids.size > 0; }
  rows() { return [...this.ids].map(id => this.grid.rows.get(id)).filter(Boolean); }

  hold(held) {
    this.held = held;
    if (!held) this.ids.clear();
    this.render();
  }

  // A click that selects: on the box, with Ctrl or Shift, or anywhere on a tile while selecting.
  click(row, event) {
    const box = event.target.closest(".shot-select");
    if (!box && !this.on && !event.shiftKey && !event.ctrlKey && !event.metaKey) return false;
    if (event.shiftKey && this.grid.rows.has(this.anchor)) this.range(row);
    else this.toggle(row);
    return true;
  }

  toggle(row) {
    if (!this.ids.delete(row.id)) this.ids.add(row.id);
    this.anchor = row.id;
    this.render();
  }

  range(row) {
    const { order } = this.grid;
    const [from, to] = [order.indexOf(this.anchor), order.indexOf(row.id)].sort((a, b) => a - b);
    for (const id of order.slice(from, to + 1)) this.ids.add(id);
    this.render();
  }

  // Shift and an arrow key: from the anchor on, as the cursor goes.
  stretch(row, from) {
    this.anchor ??= from.id;
    this.range(row);
  }

  all() {
    for (const id of this.grid.order) this.ids.add(id);
    this.render();
  }

  forget(ids) {
    const had = this.ids.size;
    for (const id of ids) this.ids.delete(id);
    this.held &&= !had || this.ids.size > 0;    // what was selected is dealt with
    this.render();
  }

  render(binned = this.binned) {
    this.binned = binned;
    const rows = this.rows();
    for (const id of [...this.marked, ...this.ids]) this.mark(id);
    this.grid.box.classList.toggle("selecting", this.on);
    find(".history-chosen", this.root).hidden = !this.on;
    find(".history-acts", this.root).hidden = find(".history-count", this.root).hidden = this.on;
    find(".history-selected", this.root).hidden = !this.on;
    find(".history-selected", this.root).textContent = rows.length ? `${rows.length.toLocaleString()} selected` : "Choose pictures";
    find('[data-history="select"]', this.root).setAttribute("aria-pressed", this.on);
    const button = name => find(`[data-chosen="${name}"]`, this.root);
    button("star").textContent = rows.length && rows.every(row => row.starred) ? "Unstar" : "Star";
    const others = rows.some(row => row.shared_by);
    for (const name of ["star", "boards"]) button(name).hidden = others;
    button("bin").hidden = binned || others;
    button("restore").hidden = !binned;
    for (const name of ["star", "boards", "download", "bin", "restore"]) button(name).disabled = !rows.length;
    button("compare").disabled = rows.length !== 2;
    button("compare").title = rows.length === 2 ? "" : "Select exactly two pictures to compare them";
  }

  mark(id) {
    const chosen = this.ids.has(id), tile = this.grid.tile(id);
    this.marked[chosen && tile ? "add" : "delete"](id);
    if (!tile) return;
    find(".shot-select", tile).checked = chosen;
    tile.classList.toggle("chosen", chosen);
  }
}
