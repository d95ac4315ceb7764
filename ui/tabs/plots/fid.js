// FID between two sets of pictures: cells of the plot, all or those of one value, or a folder.
import { make } from "../../scripts/dom.js";
import { ask, post } from "../../scripts/http.js";
import { translated } from "../../scripts/translate.js";
import { sentence } from "../../scripts/form.js";
import { placeOf } from "./plot.js";

export class Distances {
  // `choices()` gives { folders, fid } of GET /easel/plots/scores.
  constructor(viewer, choices) {
    Object.assign(this, { viewer, choices, found: [] });
    this.first = make("select", { "aria-label": "First set" });
    this.second = make("select", { "aria-label": "Second set" });
    this.go = make("button", { type: "button", class: "act", onclick: () => this.compare() }, "Compare");
    this.told = make("p", { class: "problem", role: "alert", hidden: true });
    this.list = make("ul", { class: "distances", translate: "no", "aria-label": "FID" });
    this.root = make("details", { class: "plot-distances", ontoggle: () => { if (this.root.open) this.open(); } }, make("summary", {}, "FID between two sets of pictures"),
      make("p", { class: "score-told" }, "The Frechet Inception Distance of two sets: 0 is alike. Below some thousand pictures it depends on how many there are, so compare sets of one size."),
      make("div", { class: "score-use" }, this.first, make("span", {}, "with"), this.second, this.go), this.told, this.list);
  }

  async open() {
    const { folders, fid } = await this.choices(), { plot } = this.viewer;
    const sets = [["", translated("All cells")], ...plot.axes.flatMap(({ label, values }, axis) => values.map((value, at) => [`${axis}:${at}`, `${label}: ${value}`])), ...folders.map(name => [`/${name}`, translated(`Folder ${name}`)])];
    for (const select of [this.first, this.second]) {
      const before = select.options.length ? select.value : null;
      select.replaceChildren(...sets.map(([value, label]) => make("option", { value, translate: "no" }, label)));
      select.value = sets.some(([value]) => value === before) ? before : select === this.second ? sets.at(-1)[0] : sets[1][0];
    }
    this.say(fid);
    this.go.disabled = Boolean(fid);
    await this.refresh();
  }

  side({ value }) {
    if (value.startsWith("/")) return { folder: value.slice(1) };
    const [axis, at] = value.split(":").map(Number), keys = [...this.viewer.plot.cells.keys()];
    return { cells: value ? keys.filter(key => placeOf(key)[axis] === at) : keys };
  }

  async compare() {
    const { plot } = this.viewer;
    this.say("");
    try { this.show((await post(`/easel/plots/${plot.id}/distances`, { first: this.side(this.first), second: this.side(this.second) })).distances); }
    catch (error) { this.say(sentence("", error.message)); }
  }

  // News of the plot may be a distance that was measured.
  async refresh() {
    const { plot } = this.viewer;
    if (!plot || !this.root.open) return;
    const { distances } = await ask(`/easel/plots/${plot.id}/distances`).catch(() => ({ distances: this.found }));
    if (plot === this.viewer.plot) this.show(distances);
  }

  get waits() { return this.found.some(one => one.value === null && !one.problem); }

  show(distances) {
    this.found = distances;
    this.list.replaceChildren(...[...distances].reverse().map(one => make("li", {}, `${this.named(one.first)} – ${this.named(one.second)}: `, make("b", {}, one.problem || (one.value === null ? translated("Waiting") : one.value.toFixed(2))))));
  }

  // The value that all its cells have in common, and no other cell has.
  named({ cells, folder }) {
    if (folder !== undefined) return translated(`Folder ${folder}`);
    const { plot } = this.viewer, places = cells.map(placeOf);
    if (cells.length === plot.cells.size) return translated("All cells");
    const axis = plot.axes.findIndex((_, one) => places.every(place => place[one] === places[0][one]));
    return axis < 0 ? translated(`${cells.length} cells`) : `${plot.axes[axis].label}: ${plot.axes[axis].values[places[0][axis]]}`;
  }

  say(message) {
    this.told.textContent = message;
    this.told.hidden = !message;
  }
}
