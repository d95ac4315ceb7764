// The grid of one plot with all that is done with it: it fills while cells are drawn, and opens, compares and judges them.
import { addSource, openLightbox } from "../../parts/lightbox.js";
import { note } from "../../parts/notices.js";
import { info } from "../../parts/finished_pictures.js";
import { showsPicture } from "../../scripts/location_hash.js";
import { make } from "../../scripts/dom.js";
import { on, tell } from "../../scripts/events.js";
import { ask, post } from "../../scripts/http.js";
import { store, stored } from "../../scripts/storage.js";
import { fillCell } from "./cell.js";
import { CellBar } from "./cell_bar.js";
import { openComparison } from "./comparison.js";
import { PlotGrid } from "./grid.js";
import { HeatMap } from "./heat_map.js";
import { Layout } from "./layout.js";
import { Plot, placeOf } from "./plot.js";
import { Scores } from "./scores.js";
import { PlotLayoutTools } from "./layout_tools.js";
import { PlotHeader } from "./header.js";

const TAB = "plots", PAUSE = 150;       // ms between two questions for what has changed
const FIRST = [96, 220];        // CSS pixels between which the cells of a plot are wide at first
const SIZE = "easel.plots.tile", LAYOUT = "easel.plots.layout";

export class Viewer {
  // `back()` leads to the list.
  constructor(hands) {
    Object.assign(this, { hands, tab: TAB, plot: null, comparing: null, flipped: null });
    this.heat = new HeatMap();
    this.header = new PlotHeader(this);
    this.tools = new PlotLayoutTools(this);
    this.bar = new CellBar(this);
    this.room = make("div", { class: "plot-room" });
    this.scores = new Scores(this);
    this.grid = new PlotGrid(this.room, this);
    this.root = make("div", { class: "plot-view" }, this.header.root, this.tools.root, this.bar.root, make("div", { class: "plot-place" }, this.room), this.scores.root);
    addSource(this);
    on("starred", ({ ids, on: starred }) => this.told(ids, { starred }));
    on("binned", ids => this.told(ids, { binned: true }));
    on("restored", ids => this.told(ids, { binned: false }));
    on("language", () => this.renderAll());
  }

  // ---- which plot, and what is new of it ----

  open(told) {
    const same = this.plot?.id === told.id;
    this.plot = new Plot(told);
    if (!same) this.settle();
    this.layout = new Layout(this.plot, stored(sessionStorage, `${LAYOUT}.${told.id}`) ?? {});
    this.renderAll();
    if (!same) this.begin();
  }

  // As large as the person left the cells of another plot, else so that all columns are seen.
  begin() {
    this.grid.sized(stored(localStorage, SIZE) ?? Math.min(FIRST[1], Math.max(FIRST[0], this.grid.fitting(true))));
    this.tools.render();
    this.mark();
  }

  settle() {
    this.comparing = null;
    this.heat.against(null);
    this.scores.settle();
    this.room.scrollTo(0, 0);
  }

  renderAll() {
    if (!this.plot) return;
    this.header.render();
    this.scores.render();
    this.relay();
  }

  close() { this.settle(); this.plot = null; }

  async renew() {
    const { plot } = this;
    if (!plot) return;
    const told = await ask(`/easel/plots/${plot.id}`).catch(() => null);
    if (told && plot === this.plot) this.open(told);
  }

  // News of the stream. What they say of the whole is shown at once, the cells are asked for.
  async heard({ title, done, failed, total, state, eta }) {
    const { plot } = this;
    if (total !== undefined && total !== plot.total) return this.renew();
    Object.assign(plot, { title, done, failed, state, eta });
    this.header.render();
    this.scores.heard();
    this.behind = true;
    if (this.fetching) return;
    this.fetching = true;
    while (this.behind && plot === this.plot) {
      this.behind = false;
      await this.fetch(plot).catch(() => {});       // the next news ask again
      await new Promise(resolve => setTimeout(resolve, PAUSE));
    }
    this.fetching = false;
  }

  async fetch(plot) {
    const news = await ask(`/easel/plots/${plot.id}/cells?since=${plot.cursor}`);
    if (plot !== this.plot) return;
    plot.cursor = news.cursor;
    this.changed(plot.changed(news));
  }

  changed(keys) {
    if (!keys.length) return;
    this.grid.refill(this.scores.kind ? null : keys);       // colours are relative to all others
    this.bar.render();
    this.scores.render();
  }

  // Something was done with pictures, here or elsewhere on the page.
  told(ids, change) {
    const keys = this.plot ? ids.map(id => this.plot.keyOf(id)).filter(Boolean) : [];
    for (const key of keys) {
      Object.assign(this.plot.cell(key), change);
      if ("starred" in change) Object.assign(this.plot.picture(key) ?? {}, change);
    }
    this.changed(keys);
  }

  // ---- what is done with it ----

  async tried(act) {
    try { return await act() ?? true; }
    catch (error) { note(error.message, 8000); return null; }
  }

  // A verb of the whole plot.
  async act(verb, body) {
    const { plot } = this, told = await this.tried(() => post(`/easel/plots/${plot.id}/${verb}`, body));
    if (told && plot === this.plot) await this.renew();
    return told;
  }

  async again(key, verb = "retry") {
    if (await this.tried(() => post(`/easel/plots/${this.plot.id}/cells/${key}/${verb}`))) await this.renew();
  }

  // ---- how it is laid out ----

  relay() {
    store(sessionStorage, `${LAYOUT}.${this.plot.id}`, this.layout.kept);
    this.scores.sort();
    this.scores.renderChart();
    this.tools.render();
    this.grid.show(this.plot, this.layout, this.plot.ratio);
    this.bar.render();
    this.mark();
  }

  lay(change) {
    change(this.layout);
    this.relay();
  }

  sized(wide) {
    this.grid.sized(wide);
    this.tools.render();
    store(localStorage, SIZE, this.grid.wide);
    this.mark();
  }

  fit() { this.sized(this.grid.fitting()); }

  turn(by) {
    const [axis] = this.layout.pages;
    if (axis !== undefined) this.lay(layout => layout.turn(axis, by));
  }

  // ---- the grid's hands ----

  fill(tile, key) {
    const { single } = this.layout, caption = single === null ? "" : this.plot.axes[single].values[placeOf(key)[single]] || "–";
    fillCell(tile, this.plot, key, { wide: this.grid.wide, caption, scored: one => this.scores.of(one), again: one => this.again(one), over: (where, picture) => { this.heat.over(where, picture); } });
    tile.classList.toggle("compared", key === this.comparing);
    tile.classList.toggle("reference", this.heat.reference?.cell === key);
  }

  entered(key) { this.bar.enter(key); }
  menu(key, at) { this.bar.menu(key, at); }
  head(axis, at, button) { this.tools.head(axis, at, button); }

  look(key) {
    const picture = this.plot.picture(key);
    if (this.comparing) return this.compare(key);
    if (picture) openLightbox(this, picture.id);
    else this.bar.menu(key, this.grid.find(key));
  }

  key(event, key) {
    if (event.ctrlKey || event.metaKey) return false;
    const acts = { Enter: () => this.look(key), " ": () => this.look(key), x: () => this.compare(key), m: () => this.menu(key, this.grid.find(key)), "+": () => this.sized(this.grid.wide * 1.25),
      "-": () => this.sized(this.grid.wide / 1.25), "[": () => this.turn(-1), "]": () => this.turn(1) };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return this.bar.byKey(event);
    act();
    return true;
  }

  // While a key is held: the neighbour's picture in this cell's place.
  flip(key, other) {
    this.unflip();
    const picture = other && this.plot.picture(other), tile = this.grid.find(key);
    if (!picture || !tile) return;
    this.flipped = make("img", { class: "plot-flip", src: picture.url, alt: "" });
    tile.append(this.flipped, make("span", { class: "plot-flip-name" }, this.plot.named(other)));
  }

  unflip() {
    this.flipped?.nextElementSibling?.remove();
    this.flipped?.remove();
    this.flipped = null;
  }

  // ---- two cells, and all against one ----

  // The first cell is kept until there is a second; the same one again ends it.
  compare(key) {
    const former = this.comparing;
    this.comparing = former ? null : key;
    this.mark();
    this.bar.render();
    if (!former || former === key) return;
    if (this.plot.picture(former) && this.plot.picture(key)) openComparison(this.plot, [former, key]);
    else note("Only cells that are drawn can be compared.", 6000);
  }

  differ(key) {
    this.heat.against(key ? this.plot.picture(key) : null);
    this.grid.refill();
    this.bar.render();
  }

  mark() { for (const tile of this.grid.tiles()) tile.classList.toggle("compared", tile.dataset.key === this.comparing); }

  // ---- what the lightbox asks for ----

  list() { return this.plot ? this.grid.keys().map(key => this.plot.picture(key)).filter(Boolean) : []; }
  more() { return Promise.resolve(); }
  isComplete() { return true; }

  chosen(id) {
    const key = this.plot?.keyOf(id), row = key && this.plot.picture(key);
    if (!row) return;
    this.grid.focusKey(key, true);
    info(row).then(all => {
      Object.assign(row, { name: all.name, process: all.process });
      if (all.starred !== row.starred) tell("starred", { ids: [id], on: all.starred });
    }, () => {});
  }

  focus(id) {
    const key = this.plot?.keyOf(id);
    if (key && this.root.checkVisibility()) this.grid.focusKey(key);
    if (this.plot) showsPicture(TAB, this.plot.id);
  }
}
