// One plot as the page knows it: its axes, and a cell for every combination of their values.
import { withRoot } from "../../scripts/root.js";

const LETTERS = ["X", "Y", "Z"], SOURCE = "Source picture";

// The address of a picture holds its id.
const idOf = address => /\/image\/([^/?]+)/.exec(address)[1];
export const keyOf = place => place.join(",");
export const placeOf = key => key.split(",").map(Number);

export class Plot {
  // `told` is what GET /easel/plots/<id> answers.
  constructor(told) {
    this.cells = new Map();
    this.pictures = new Map();      // by a picture's id: the row that other parts of the page take
    this.take(told);
  }

  take({ cells, cursor, ...facts }) {
    Object.assign(this, facts);
    this.cursor = cursor ?? cells?.cursor ?? 0;
    this.cells.clear();
    return this.changed(cells);
  }

  // Rows of cells, each by the `columns`; answers with the keys of those that changed.
  changed({ columns, rows }) {
    return rows.map(row => {
      const cell = Object.fromEntries(columns.map((name, i) => [name, row[i]]));
      this.cells.set(cell.cell, cell);
      cell.url = cell.image && withRoot(cell.image);
      cell.thumb &&= withRoot(cell.thumb);
      cell.image = cell.url && idOf(cell.url);
      if (cell.image) this.pictures.delete(cell.image);
      return cell.cell;
    });
  }

  cell(key) { return this.cells.get(key); }
  letter(axis) { return LETTERS[axis] ?? String(axis + 1); }
  get first() { return keyOf(this.axes.map(() => 0)); }
  get lives() { return ["drawing", "waiting"].includes(this.state); }

  // "CFG Scale: 7, Steps: 20": what a cell is called by.
  named(key) {
    return placeOf(key).map((at, axis) => this.axes[axis] && `${this.axes[axis].label}: ${this.axes[axis].values[at] || "–"}`).filter(Boolean).join(", ");
  }

  // The cell's picture as the lightbox and the actions take one; null before it is drawn.
  picture(key) {
    const cell = this.cell(key);
    if (!cell?.image || cell.binned) return null;
    if (!this.pictures.has(cell.image)) this.pictures.set(cell.image, { id: cell.image, cell: key, job: cell.job, index: 0, url: cell.url,
      thumb: cell.thumb, width: cell.width, height: cell.height, seed: cell.seed, prompt: this.named(key),
      init_image: this.source(key), process: "", name: `${cell.image}.png`, starred: Boolean(cell.starred) });
    return this.pictures.get(cell.image);
  }

  // The upload that a cell was drawn from, "" for none: of an axis of such pictures, else of the whole plot.
  source(key) {
    const at = this.axes.findIndex(({ label, pictures }) => pictures && label === SOURCE);
    return (at < 0 ? this.request?.init_image : this.axes[at].pictures[placeOf(key)[at]]) ?? "";
  }

  keyOf(image) { return this.pictures.get(image)?.cell ?? [...this.cells.values()].find(cell => cell.image === image)?.cell; }

  // Width by height of a cell, from its request or from the first picture.
  get ratio() {
    const drawn = [...this.cells.values()].find(cell => cell.width && cell.height) ?? this.request;
    return drawn?.width && drawn?.height ? drawn.width / drawn.height : 1;
  }

  score(key, kind) {
    const value = this.cell(key)?.scores?.[kind];
    return typeof value === "number" && Number.isFinite(value) ? value : null;
  }
}
