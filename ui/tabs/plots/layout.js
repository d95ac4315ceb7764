// How a plot is laid out: which axis runs along the columns, which along the rows, which page of the others is seen, what is hidden.
import { keyOf, placeOf } from "./plot.js";

const straight = length => Array.from({ length }, (_, at) => at);

export class Layout {
  constructor(plot, kept = {}) {
    this.plot = plot;
    const { columns = 0, rows = 1, page = [], hidden = [] } = kept;
    const fits = axis => axis === null || axis < plot.axes.length;
    const usable = fits(columns) && fits(rows) && columns !== rows && (columns !== null || rows !== null);
    this.columns = usable ? columns : 0;
    this.rows = usable ? rows : plot.axes.length > 1 ? 1 : null;
    if (plot.axes.length < 2 && this.rows === 1) this.rows = null;
    this.page = plot.axes.map(({ values }, axis) => Math.min(page[axis] ?? 0, values.length - 1));
    this.hidden = plot.axes.map((_, axis) => new Set(hidden[axis] ?? []));
    this.order = {};        // by axis, where it is not as typed
    this.length = 1;        // of the lines in which the values of a single axis stand
  }

  get kept() { return { columns: this.columns, rows: this.rows, page: this.page, hidden: this.hidden.map(values => [...values]) }; }
  get pages() { return straight(this.plot.axes.length).filter(axis => axis !== this.columns && axis !== this.rows); }
  get hiddenCount() { return this.hidden.reduce((sum, values) => sum + values.size, 0); }

  // The indices of an axis' values that are seen, in their order.
  shown(axis) {
    if (axis === null) return [0];
    return (this.order[axis] ?? straight(this.plot.axes[axis].values.length)).filter(at => !this.hidden[axis].has(at));
  }

  // The axis of a plot that has no other in sight: its values stand in lines, as words do. Else null.
  get single() { return this.columns === null ? this.rows : this.rows === null ? this.columns : null; }

  // What stands side by side and what below each other: values of the axes, or places in lines of this length.
  laid(length) {
    const { single } = this, { columns, rows } = this;
    if (single === null) return { across: this.shown(columns), down: this.shown(rows) };
    const count = this.shown(single).length;
    this.length = Math.max(1, Math.min(length, count));
    return { across: straight(this.length), down: straight(Math.ceil(count / this.length)) };
  }

  // The cell at such a place; null behind the last one.
  key(column, row) {
    const { single } = this;
    if (single === null) return this.meeting(column, row);
    const at = this.shown(single)[row * this.length + column];
    return at === undefined ? null : keyOf(this.page.map((page, axis) => axis === single ? at : page));
  }

  // The cell in which two values of the axes in sight meet.
  meeting(column, row) {
    const place = [...this.page];
    if (this.columns !== null) place[this.columns] = column;
    if (this.rows !== null) place[this.rows] = row;
    return keyOf(place);
  }

  whereIs(key) {
    const place = placeOf(key);
    return { column: this.columns === null ? 0 : place[this.columns], row: this.rows === null ? 0 : place[this.rows] };
  }

  // The same as places of `laid()`.
  spot(key) {
    const { column, row } = this.whereIs(key), { single } = this;
    if (single === null) return { column: this.shown(this.columns).indexOf(column), row: this.shown(this.rows).indexOf(row) };
    const at = this.shown(single).indexOf(placeOf(key)[single]);
    return at < 0 ? { column: -1, row: -1 } : { column: at % this.length, row: Math.floor(at / this.length) };
  }

  transpose() { [this.columns, this.rows] = [this.rows, this.columns]; }

  // An axis takes the place "columns" or "rows"; the one that was there takes its place in return.
  put(axis, place) {
    const other = place === "columns" ? "rows" : "columns";
    if (this[other] === axis) this[other] = this[place];
    this[place] = axis;
  }

  turn(axis, by) {
    const { length } = this.plot.axes[axis].values;
    this.page[axis] = (this.page[axis] + by + length) % length;
  }

  hide(axis, at) { if (this.shown(axis).length > 1) this.hidden[axis].add(at); }
  only(axis, at) { this.hidden[axis] = new Set(straight(this.plot.axes[axis].values.length).filter(one => one !== at)); }
  showAll() { for (const values of this.hidden) values.clear(); }

  // The values of an axis with the best first, by a function of a value's index; null ones stand last.
  sort(axis, worth) {
    if (axis === null) return;
    const worths = straight(this.plot.axes[axis].values.length).map(at => worth(at));
    this.order[axis] = straight(worths.length).sort((a, b) => (worths[b] ?? -Infinity) - (worths[a] ?? -Infinity) || a - b);
  }

  unsort() { this.order = {}; }
}
