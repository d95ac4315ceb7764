// The History tab: the pictures that the search finds, page by page, and what is new among them.
import { appeared, find } from "../../scripts/dom.js";
import { addressed, showsPicture } from "../../scripts/location_hash.js";
import { on } from "../../scripts/events.js";
import { ask } from "../../scripts/http.js";
import { shortcuts } from "../../scripts/keys.js";
import { currentTab } from "../../scripts/tabs.js";
import { HistoryActions } from "./actions.js";
import { HistoryBoards } from "./boards.js";
import { Compare } from "./compare.js";
import { Details } from "./side_panel.js";
import { HistoryGrid } from "./grid.js";
import { Importer } from "./import.js";
import { HistorySearch } from "./search.js";
import { HistorySelection } from "./selection.js";

shortcuts("History, with the focus on a picture", [["S", "Star"], ["X", "Select"], ["B", "Boards"], ["Delete", "Delete"], ["Ctrl+A", "Select all"], [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "Other pictures"]]);

const TAB = "history", PAGE = 60, AHEAD = "1500px", GATHERING = 400;    // ms in which news of several pictures are one question

class History {
  constructor(root) {
    this.root = root;
    this.turn = 0;          // counts searches: an answer to an old one is dropped
    this.changes = 0;       // counts what came and went by hand: an answer from before may still show it as it was
    this.total = 0;
    this.complete = false;
    const around = root.parentElement;
    this.search = new HistorySearch(find(".history-search", root), () => this.searched());
    this.grid = new HistoryGrid(find(".shots", root), this);
    this.grid.sizedBy(find(".history-tiles input", root));
    this.selection = new HistorySelection(root, this.grid);
    this.actions = new HistoryActions(this, root);
    this.details = new Details(find(".details", root), this);
    this.compare = new Compare(find(".compare", around));
    this.boards = new HistoryBoards(this, root);
    this.importer = new Importer(find(".import", root), taken => this.imported(taken));
    root.addEventListener("click", event => this.clicked(event));
    root.addEventListener("keydown", event => this.escape(event));
    this.search.learn().catch(() => {});
    this.reload().then(() => this.follow(addressed()));
    this.watch();
    this.keepPlace();
  }

  get binned() { return this.search.binned; }
  get ofOthers() { return this.boards.isOfOthers(this.search.board); }

  // ---- pictures come ----

  reload() { return this.load(); }
  async more() { if (!this.loading && !this.complete && this.grid.last) await this.load(this.grid.last); }

  // Another search: what the panel shows may not be of it.
  async searched() {
    this.boards.render();
    await this.reload();
    this.details.leave();
  }

  // The page behind the picture `before`, or a new search from its first page.
  async load(before) {
    const turn = before ? this.turn : ++this.turn, { changes } = this;
    this.loading = true;
    this.grid.box.setAttribute("aria-busy", "true");
    try {
      const answer = await ask(this.search.query(before ? { limit: PAGE, before } : { limit: PAGE }));
      if (turn !== this.turn) return;
      if (changes !== this.changes) await this.load(before && this.grid.last);
      else this.arrived(answer, before);
    } catch (error) { if (turn === this.turn) this.settle(error, before); }
  }

  arrived({ images, total }, before) {
    if (!before) this.selection.ids.clear();
    if (before) this.grid.append(images);
    else this.grid.reset(images);
    this.total = total;
    this.complete = images.length < PAGE;
    this.settle();
    this.watch();
  }

  // What has come since, put where it belongs. More than a page of it is a new beginning.
  async fresh() {
    const { turn, changes } = this;
    const answer = await ask(this.search.query({ limit: PAGE })).catch(() => null);
    if (!answer || turn !== this.turn) return;
    if (changes !== this.changes) return this.fresh();
    if (this.grid.size && !answer.images.some(row => this.grid.rows.has(row.id))) return this.reload();
    this.grid.insert(answer.images.map((row, at) => ({ row, after: answer.images[at - 1]?.id })));
    if (answer.total > this.total && this.complete && this.search.order) this.goOn();
    this.total = answer.total;
    if (answer.images.some(row => !this.search.knows(row))) this.search.learn().catch(() => {});
    this.render();
  }

  // What came last stands at the end in this order.
  goOn() {
    this.complete = false;
    this.watch();
  }

  // A search that the server does not understand is said at its fields; any other trouble can be tried again.
  settle(error, before) {
    this.loading = false;
    if (error?.status === 404 && this.search.board) return this.search.showBoard("");      // it is shared no longer
    this.again = () => this.load(before);
    this.grid.box.removeAttribute("aria-busy");
    const refused = error?.status === 422;
    this.search.refuse(refused ? error.problems : []);
    const trouble = find(".history-trouble", this.root);
    trouble.hidden = !error || refused;
    find("p", trouble).textContent = error ? `The pictures did not come: ${error.status ? error.message : "Easel does not answer."}` : "";
    this.render();
  }

  // Told anew after every page: an end that stays in sight tells nothing by itself.
  watch() {
    const end = find(".history-end", this.root);
    this.watcher ??= new IntersectionObserver(entries => { if (entries.at(-1).isIntersecting) this.more(); }, { rootMargin: AHEAD });
    this.watcher.unobserve(end);
    this.watcher.observe(end);
  }

  // The other tabs are shorter than this one: the place on the page is remembered while one of them is open.
  keepPlace() {
    let place = 0, away = false;
    window.addEventListener("scroll", () => { if (currentTab() === TAB) place = scrollY; }, { passive: true });
    new IntersectionObserver(([{ isIntersecting }]) => {
      if (isIntersecting && away) scrollTo(0, place);
      away = !isIntersecting;
    }).observe(this.root);
  }

  // ---- what the others ask for ----

  update(rows, changes) {
    for (const row of rows) {
      Object.assign(row, changes);
      this.grid.update(row.id, changes);
      if (this.details.row?.id === row.id) this.details.open(row);
    }
    this.selection.render(this.binned);
  }

  remove(ids) {
    const shown = ids.includes(this.details.row?.id);
    const next = shown && this.grid.survivor(this.details.row.id, new Set(ids));
    const places = this.grid.remove(ids);
    if (places.length) this.changes++;
    this.total -= places.length;
    this.selection.forget(ids);
    if (next) this.open(next);
    else if (shown) this.details.close();
    if (this.grid.size) this.watch();
    if (!this.grid.size && this.total > 0) this.reload();
    else if (places.length) this.fresh();
    this.render();
    return places;
  }

  bring(places) {
    this.changes++;
    this.grid.insert(places);
    this.total += places.length;
    if (document.activeElement === document.body && places.length) this.grid.focus(this.grid.tile(places[0].row.id));
    this.render();
  }

  beside(id, step) {
    if (step > 0 && this.grid.last === id) this.more();
    return this.grid.beside(id, step);
  }

  async imported(taken) {
    if (!taken) return;
    this.search.learn().catch(() => {});
    await this.reload();
  }

  // To the picture that the address names, also one that is not among those that came.
  async follow({ tab, picture }) {
    if (tab !== TAB || picture === this.details.row?.id) return;
    if (!picture) return this.details.close();
    const row = this.grid.rows.get(picture) ?? await ask(`/easel/image/${encodeURIComponent(picture)}/info`).catch(() => null);
    if (row) this.open(row);
    else showsPicture(TAB);
  }

  // ---- the grid's hands ----

  open(row) { this.details.open(row); }
  all() { this.selection.all(); }
  star(row) { if (!row.shared_by) this.actions.toggle([row]); }
  picked(row, event) { return this.selection.click(row, event); }

  moved(row, stretching, from) {
    if (stretching) this.selection.stretch(row, from);
    else if (this.details.row) this.open(row);
  }

  key(key, row) {
    if (row.shared_by) return false;
    const rows = this.selection.ids.size ? this.selection.rows() : [row];
    const keys = { s: () => this.actions.toggle(rows), x: () => this.selection.toggle(row), b: () => this.boards.menu(this.grid.tile(row.id), rows), Delete: () => { if (!this.binned) this.actions.bin(rows); } };
    const act = keys[key.length === 1 ? key.toLowerCase() : key];
    act?.();
    return Boolean(act);
  }

  // ---- buttons ----

  clicked(event) {
    const { history, chosen } = event.target.closest("[data-history], [data-chosen]")?.dataset ?? {};
    const rows = this.selection.rows();
    const acts = {
      clear: () => this.search.clear(), again: () => this.again(), select: () => this.selection.hold(true), empty: () => this.actions.askFirst(),
      import: () => this.importer.show(this.importer.box.hidden),
    };
    const actions = {
      star: () => this.actions.toggle(rows), compare: () => this.compare.open(rows), boards: () => this.boards.menu(event.target.closest("button"), rows), download: () => this.actions.download(rows),
      bin: () => this.actions.bin(rows), restore: () => this.actions.restore(rows), all: () => this.selection.all(), done: () => this.selection.hold(false),
    };
    (acts[history] ?? actions[chosen])?.();
  }

  escape(event) {
    if (event.key !== "Escape" || event.target.closest("dialog:modal") || event.target.matches('[type="search"]')) return;
    if (this.selection.on) this.selection.hold(false);
    else if (this.details.row) this.details.close();
  }

  render() {
    const { total, binned } = this, found = this.search.narrowed, act = name => find(`.history-acts [data-history="${name}"]`, this.root);
    find(".history-count", this.root).textContent = `${total.toLocaleString()} ${total === 1 ? "picture" : "pictures"}${found ? " found" : ""}${binned ? " in the bin" : ""}`;
    act("clear").hidden = !found;
    act("empty").hidden = !binned || (!total && !found);
    act("import").hidden = binned;
    act("select").hidden = !this.grid.size;
    this.selection.render(binned);
    this.renderEmpty(found);
  }

  renderEmpty(found) {
    const place = find(".history-empty", this.root);
    place.hidden = this.grid.size > 0 || this.loading || !find(".history-trouble", this.root).hidden;
    find("p", place).textContent = this.emptyWords(found);
    find("button", place).hidden = !found || this.search.onlyBoard;
  }

  emptyWords(found) {
    const asked = Object.keys(this.search.values);
    if (asked.length === 1 && asked[0] === "starred") return "No picture has a star yet. The star in a picture's corner keeps it at hand here.";
    if (this.search.onlyBoard) return "No picture lies on this board yet.";
    if (found) return this.binned ? "Nothing in the bin fits this search." : "No picture fits this search.";
    if (!this.binned && document.documentElement.classList.contains("looks")) return "This account draws no pictures. Boards that others show you stand above.";
    return this.binned ? "The bin is empty." : "There are no pictures yet. Those that you make appear here; pictures of AUTOMATIC1111 can be imported.";
  }
}

let tab = null, due = 0;
appeared(`#${TAB} .history`).then(root => { tab = new History(root); });
on("address", to => tab?.follow(to));
on("connected", () => { tab?.grid.mend(); tab?.fresh(); });
on("starred", ({ ids, on: starred }) => tab?.update(ids.map(id => tab.grid.rows.get(id)).filter(Boolean), { starred }));
on("binned", ids => { if (!tab?.binned) tab?.remove(ids); });
on("restored", ids => tab?.binned ? tab.remove(ids) : tab?.fresh());
on("live", event => {
  if (event.type !== "image" || !tab) return;
  clearTimeout(due);
  due = setTimeout(() => tab.fresh(), GATHERING);
});
