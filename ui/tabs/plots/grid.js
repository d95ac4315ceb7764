// The grid of a plot, of which only the cells near those in sight are on the page. Labels of rows and columns stay in view.
import { find, make } from "../../scripts/dom.js";

const GAP = 4, LABEL = 128, NARROW_LABEL = 84, NARROW = 600;    // CSS pixels: between cells, the labels of rows, where they are narrower
const LETTER = 7, ARROW = 30;                                   // CSS pixels of the corner: a letter, what stands around the words
const CAPTION = 26;                                             // CSS pixels of one line: below the cells of a plot of one axis, which has no labels beside them
const LONGEST = 12;                                             // labels, by their letters, of which the tallest caption is one
const BORDERS = 2;                                              // of the room, together
const AHEAD = 2;                                                // rows and columns beside those in sight
export const LEAST = 40, MOST = 640;                            // CSS pixels that a cell is wide

export class PlotGrid {
  // The owner's hands: fill(tile, key), look(key), menu(key, at), entered(key), key(event, key), flip(key, other), unflip(), head(axis, at, button).
  constructor(room, owner) {
    Object.assign(this, { room, owner, rows: new Map(), place: { row: 0, column: 0 }, wide: 160, drawn: "" });
    this.head = make("div", { class: "plot-head", role: "row", "aria-rowindex": 1 });
    this.body = make("div", { class: "plot-body", role: "rowgroup" });
    this.sheet = make("div", { class: "plot-sheet", role: "grid", translate: "no" }, make("div", { role: "rowgroup", class: "plot-heads" }, this.head), this.body);
    this.gauge = make("div", { class: "plot-gauge", "aria-hidden": "true", translate: "no" });
    room.append(this.sheet);
    room.addEventListener("scroll", () => this.soon(), { passive: true });
    this.sheet.addEventListener("click", event => this.clicked(event));
    this.sheet.addEventListener("contextmenu", event => this.asked(event));
    this.sheet.addEventListener("keydown", event => this.byKey(event));
    this.sheet.addEventListener("keyup", () => this.owner.unflip());
    this.sheet.addEventListener("focusin", event => this.enter(event.target.closest(".plot-cell")));
    this.sheet.addEventListener("focusout", () => this.owner.unflip());
    new ResizeObserver(() => this.measure()).observe(room);
  }

  // Another plot, or the same laid out anew. `ratio` is width by height of a cell.
  show(plot, layout, ratio) {
    if (this.plot !== plot) this.place = { row: 0, column: 0 };
    Object.assign(this, { plot, layout, ratio });
    this.sheet.setAttribute("aria-label", plot.title || "Plot");
    const labels = layout.single === null ? [] : plot.axes[layout.single].values.toSorted((a, b) => b.length - a.length).slice(0, LONGEST);
    this.gauge.replaceChildren(...labels.map(label => make("span", {}, label)));
    this.lay();
  }

  sized(wide) {
    this.wide = Math.round(Math.min(MOST, Math.max(LEAST, wide)));
    if (this.plot) this.lay();
  }

  // As large as the room allows for all of them, or with `across` for those of one row.
  fitting(across = false) {
    const { clientWidth, clientHeight } = this.room.parentElement;
    if (this.inLines) return this.fittingLines(clientWidth - BORDERS, clientHeight - BORDERS);
    const wide = (clientWidth - BORDERS - this.label) / this.across.length - GAP;
    return Math.floor(across ? wide : Math.min(wide, ((clientHeight - BORDERS - this.headHeight) / this.down.length - GAP) * this.ratio));
  }

  fittingLines(width, height) {
    const count = this.keys().length, fits = wide => Math.ceil(count / Math.floor(width / (wide + GAP))) * (wide / this.ratio + this.captionHeight(wide) + GAP) <= height;
    for (let wide = Math.min(MOST, width - GAP); wide > LEAST; wide -= 4) if (fits(wide)) return wide;
    return LEAST;
  }

  // So tall that every label below a cell of this width is whole; never taller than the cell is wide, where it scrolls.
  captionHeight(wide) {
    if (!this.gauge.isConnected) this.room.after(this.gauge);
    this.gauge.style.width = `${wide}px`;
    return Math.max(CAPTION, Math.min(this.gauge.scrollHeight, wide));
  }

  get heads() { return this.inLines ? 0 : 1; }      // rows and columns of labels
  get inLines() { return this.layout.single !== null; }

  inside() { return { width: this.room.clientWidth, height: this.room.clientHeight }; }

  // ---- what is on the page ----

  lay() {
    const focused = this.body.contains(document.activeElement);
    this.narrow = this.room.parentElement.clientWidth < NARROW;
    this.label = this.inLines ? GAP : this.narrow ? this.narrowLabel : LABEL;
    this.line = this.lineLength();
    Object.assign(this, this.layout.laid(this.line));
    this.place = this.within(this.place.row, this.place.column);
    this.sheet.setAttribute("aria-rowcount", this.down.length + this.heads);
    this.sheet.setAttribute("aria-colcount", this.across.length + this.heads);
    const caption = this.inLines ? this.captionHeight(this.wide) : 0;
    this.high = Math.round(this.wide / this.ratio) + caption;
    this.step = { x: this.wide + GAP, y: this.high + GAP };
    const { style } = this.sheet;
    for (const [name, value] of Object.entries({ "--wide": this.wide, "--high": this.high, "--label": this.label, "--gap": GAP, "--caption": caption })) style.setProperty(name, `${value}px`);
    style.width = `${this.label + this.across.length * this.step.x}px`;
    this.body.style.height = `${this.down.length * this.step.y}px`;
    this.layHead();
    this.rows.clear();
    this.body.replaceChildren();
    this.measure(true);
    if (focused) this.focus(this.place.row, this.place.column);
  }

  // How many cells of a plot of one axis fit beside each other.
  lineLength() { return Math.max(1, Math.floor((this.room.parentElement.clientWidth - BORDERS - GAP) / (this.wide + GAP))); }

  // The nearest place that has a cell.
  within(row, column) {
    const at = { row: Math.min(this.down.length - 1, Math.max(0, row)), column: Math.min(this.across.length - 1, Math.max(0, column)) };
    while (at.column && !this.keyAt(at.row, at.column)) at.column--;
    return at;
  }

  keyAt(row, column) { return this.layout.key(this.across[column], this.down[row]); }

  // So wide that no word of the axes' names is broken in the corner.
  get narrowLabel() {
    const words = [this.layout.columns, this.layout.rows].flatMap(axis => axis === null ? [] : this.plot.axes[axis].label.split(/\s+/));
    return Math.min(LABEL, Math.max(NARROW_LABEL, LETTER * Math.max(...words.map(word => word.length)) + ARROW));
  }

  layHead() {
    this.head.hidden = this.inLines;
    if (this.inLines) return this.head.replaceChildren();
    const { layout, plot, across } = this, title = axis => axis === null ? "" : plot.axes[axis].label;
    const corner = make("div", { class: "plot-corner", role: "columnheader", "aria-colindex": 1 }, make("span", { class: "plot-over" }, title(layout.columns)), make("span", {}, title(layout.rows)));
    this.head.style.gridTemplateColumns = `${this.label}px repeat(${across.length}, ${this.step.x}px)`;
    this.head.replaceChildren(corner, ...across.map((at, column) => make("div", { class: "plot-column", role: "columnheader", "aria-colindex": column + 2 }, this.named(layout.columns, at))));
  }

  // The label of a value, which opens what can be done with its row or column.
  named(axis, at) {
    if (axis === null) return "";
    const text = this.plot.axes[axis].values[at];
    return make("button", { type: "button", class: "plot-name", tabindex: -1, title: text, "aria-haspopup": "menu", onclick: ({ currentTarget }) => this.owner.head(axis, at, currentTarget) }, text || "–");
  }

  measure(anew = false) {
    if (!this.plot || !this.room.clientWidth) return;
    if (!anew && (this.narrow !== this.room.parentElement.clientWidth < NARROW || this.inLines && this.line !== this.lineLength())) return this.lay();
    this.view = this.inside();
    this.headHeight = this.head.offsetHeight;
    this.room.style.scrollPadding = `${this.headHeight + GAP}px ${GAP}px ${GAP}px ${this.label + GAP}px`;
    this.drawn = "";
    this.draw();
  }

  soon() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.draw(); });
  }

  range(from, room, step, length) {
    return [Math.max(0, Math.floor(from / step) - AHEAD), Math.min(length, Math.ceil((from + room) / step) + AHEAD)];
  }

  draw() {
    if (!this.view) return;
    const [top, bottom] = this.range(this.room.scrollTop, this.view.height - this.headHeight, this.step.y, this.down.length);
    const [left, right] = this.range(this.room.scrollLeft, this.view.width - this.label, this.step.x, this.across.length);
    const now = [top, bottom, left, right].join();
    if (now === this.drawn) return;
    this.drawn = now;
    const { row: current } = this.place;
    for (const [at, row] of this.rows) if ((at < top || at >= bottom) && at !== current) { row.element.remove(); this.rows.delete(at); }
    for (let at = top; at < bottom; at++) this.drawRow(at, left, right);
    if (current < top || current >= bottom) this.drawRow(current, left, right);
  }

  drawRow(at, left, right) {
    const row = this.row(at), mine = at === this.place.row ? this.place.column : -1;
    for (const [column, tile] of row.tiles) if ((column < left || column >= right) && column !== mine) { tile.remove(); row.tiles.delete(column); }
    for (let column = left; column < right; column++) this.tile(row, at, column);
    if (mine >= 0) this.tile(row, at, mine);
  }

  row(at) {
    if (this.rows.has(at)) return this.rows.get(at);
    const element = make("div", { class: "plot-row", role: "row", "aria-rowindex": at + 1 + this.heads, style: `top:${at * this.step.y}px` },
      this.inLines ? "" : make("div", { class: "plot-side", role: "rowheader", "aria-colindex": 1 }, this.named(this.layout.rows, this.down[at])));
    const row = { element, tiles: new Map() };
    this.rows.set(at, row);
    this.body.append(element);
    return row;
  }

  tile(row, at, column) {
    if (row.tiles.has(column)) return row.tiles.get(column);
    const key = this.keyAt(at, column), mine = at === this.place.row && column === this.place.column;
    if (key === null) return null;
    const tile = make("div", { class: "plot-cell", role: "gridcell", "aria-colindex": column + 1 + this.heads, "data-key": key, tabindex: mine ? 0 : -1, style: `left:${this.label + column * this.step.x}px` });
    Object.assign(tile, { at, column });
    this.owner.fill(tile, key);
    row.tiles.set(column, tile);
    row.element.append(tile);
    return tile;
  }

  *tiles() { for (const { tiles } of this.rows.values()) yield* tiles.values(); }

  // What some cells say has changed; without names, what all do.
  refill(keys) {
    const wanted = keys && new Set(keys);
    for (const tile of this.tiles()) if (!wanted || wanted.has(tile.dataset.key)) this.owner.fill(tile, tile.dataset.key);
  }

  find(key) { return [...this.tiles()].find(tile => tile.dataset.key === key) ?? null; }
  get current() { return this.keyAt(this.place.row, this.place.column); }

  // All cells in sight of the page, row by row.
  keys() { return this.down.flatMap(row => this.across.map(column => this.layout.key(column, row))).filter(key => key !== null); }

  // ---- hands ----

  enter(tile) {
    if (!tile) return;
    const { row, column } = this.place, former = this.rows.get(row)?.tiles.get(column);
    this.place = { row: tile.at, column: tile.column };
    if (former) former.tabIndex = -1;
    tile.tabIndex = 0;
    this.owner.entered(tile.dataset.key);
  }

  focus(row, column, away = false) {
    const place = this.within(row, column), tile = this.tile(this.row(place.row), place.row, place.column);
    this.enter(tile);
    if (!away) tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.draw();
  }

  // To a cell of this page, or without moving the focus when `away`.
  focusKey(key, away) {
    const { column, row } = this.layout.spot(key);
    if (column >= 0 && row >= 0) this.focus(row, column, away);
  }

  clicked(event) {
    const tile = event.target.closest(".plot-cell");
    if (!tile) return;
    this.enter(tile);
    if (!event.target.closest("button")) this.owner.look(tile.dataset.key);
  }

  asked(event) {
    const tile = event.target.closest(".plot-cell");
    if (!tile) return;
    event.preventDefault();
    this.owner.menu(tile.dataset.key, event);
  }

  // The cell beside one, or null at the edge.
  beside(at, column, [down, across]) {
    const row = at + down, next = column + across;
    return row in this.down && next in this.across ? this.layout.key(this.across[next], this.down[row]) : null;
  }

  byKey(event) {
    const tile = event.target.closest(".plot-cell"), name = event.target.closest(".plot-name");
    if (name && event.key === "Enter") return;
    if (!tile || event.target !== tile || event.altKey) return;
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const { at, column } = tile, command = event.ctrlKey || event.metaKey;
    if (step && event.shiftKey) { if (!event.repeat) this.owner.flip(tile.dataset.key, this.beside(at, column, step)); }
    else if (step && !command) this.focus(at + step[0], column + step[1]);
    else if (!this.far(event, at, column, command) && !this.owner.key(event, tile.dataset.key)) return;
    event.preventDefault();
  }

  far({ key }, at, column, command) {
    const page = Math.max(1, Math.floor(this.view.height / this.step.y) - 1);
    const to = { Home: [command ? 0 : at, 0], End: [command ? Infinity : at, Infinity], PageUp: [at - page, column], PageDown: [at + page, column] }[key];
    if (to) this.focus(...to);
    return Boolean(to);
  }

  // The marks of cells that something is being done with.
  mark(name, key) {
    find(`.${name}`, this.body)?.classList.remove(name);
    if (key) this.find(key)?.classList.add(name);
  }
}
