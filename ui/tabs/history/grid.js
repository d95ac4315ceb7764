// The pictures of the History tab as tiles, in parts of which the browser draws only those in sight. One tile is in the tab order.
import { find, findAll, make } from "../../scripts/dom.js";
import { store, stored } from "../../scripts/storage.js";

const LONGEST = 160;    // letters of a prompt that a picture is called by
const PART = 120;       // tiles; every number of columns divides it
const COLUMNS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24], NARROW = 3;  // as many on a phone, unless larger tiles are wanted
const ROOM = 150, KEY = "easel.tiles";      // pixels that a tile has at least

export function described(row) {
  const prompt = row.prompt.length > LONGEST ? `${row.prompt.slice(0, LONGEST)}…` : row.prompt;
  return `${prompt || "Picture without a prompt"} (seed ${row.seed})`;
}

const part = () => make("div", { role: "none", class: "shots-part" });

function seen(row) {
  if (row.missing) return [make("span", { class: "shot-gone" }, "The file is gone"), make("span", { class: "unseen", translate: "no" }, `: ${described(row)}`)];
  return [make("img", { src: row.thumb, loading: "lazy", decoding: "async", draggable: "false", translate: "no", title: row.prompt, alt: described(row) })];
}

export class HistoryGrid {
  // The owner's hands: open(row), star(row), all(), moved(row, stretching, from); picked(row, event) and key(key, row) say whether that was it.
  constructor(list, owner) {
    this.box = list;
    this.owner = owner;
    this.order = [];          // ids
    this.rows = new Map();
    this.tiles = new Map();
    list.addEventListener("click", event => this.clicked(event));
    list.addEventListener("keydown", event => this.byKey(event));
    list.addEventListener("focusin", event => this.enter(event.target.closest(".shot")));
    list.addEventListener("error", event => this.broken(event.target), true);
    new ResizeObserver(([{ contentRect }]) => this.fit(contentRect.width)).observe(list.parentElement);
    this.room = stored(localStorage, KEY) ?? ROOM;
    this.fit(list.parentElement.clientWidth);
  }

  // How large the tiles are, by a slider.
  sizedBy(slider) {
    const show = () => slider.style.setProperty("--share", (slider.value - slider.min) / (slider.max - slider.min));
    slider.value = this.room;
    show();
    slider.addEventListener("input", () => {
      show();
      this.room = Number(slider.value);
      store(localStorage, KEY, this.room);
      this.fit(this.box.parentElement.clientWidth);
    });
  }

  fit(width) {
    const columns = Math.max(COLUMNS.findLast(number => width >= number * this.room) ?? 1, this.room > ROOM ? 1 : NARROW);
    if (!width) return;
    this.box.style.setProperty("--part", `${Math.round(PART / columns * width / columns)}px`);
    if (columns === this.columns) return;
    this.columns = columns;
    this.box.style.setProperty("--columns", columns);
    if (this.box.contains(document.activeElement)) this.current.scrollIntoView({ block: "nearest" });
  }

  list() { return this.order.map(id => this.rows.get(id)); }
  tile(id) { return this.tiles.get(id) ?? null; }
  rowOf(element) { return this.rows.get(element?.closest?.(".shot")?.dataset.id); }
  get last() { return this.order.at(-1); }
  get size() { return this.order.length; }

  beside(id, step) {
    const at = this.order.indexOf(id);
    return at < 0 ? undefined : this.rows.get(this.order[at + step]);
  }

  // ---- what is there ----

  reset(rows) {
    this.order = [];
    this.rows.clear();
    this.tiles.clear();
    this.box.replaceChildren();
    this.append(rows);
  }

  append(rows) {
    for (const row of rows.filter(one => !this.rows.has(one.id))) {
      if ((this.box.lastElementChild?.childElementCount ?? PART) >= PART) this.box.append(part());
      this.order.push(row.id);
      this.box.lastElementChild.append(this.made(row));
    }
    if (!this.current) this.enter(this.tile(this.order[0]));
  }

  // Each behind the picture `after`; without it at the top.
  insert(places) {
    for (const { row, after } of places.filter(place => !this.rows.has(place.row.id))) {
      const before = this.tile(after), made = this.made(row);
      if (!this.size) this.box.append(part());
      this.order.splice(before ? this.order.indexOf(after) + 1 : 0, 0, row.id);
      if (before) before.after(made);
      else this.box.firstElementChild.prepend(made);
    }
    if (places.length > PART) this.layAnew();
    else this.balance();
    if (!this.current) this.enter(this.tile(this.order[0]));
  }

  // Says where they were, for `insert` to bring them back in this order.
  remove(ids) {
    const gone = new Set(ids), places = [];
    this.order.forEach((id, at) => { if (gone.has(id)) places.push({ row: this.rows.get(id), after: this.order[at - 1] }); });
    const focused = gone.has(this.rowOf(document.activeElement)?.id);
    const next = this.tile(this.survivor(places.at(-1)?.row.id, gone)?.id);
    for (const { row } of places) {
      this.tile(row.id).remove();
      this.rows.delete(row.id);
      this.tiles.delete(row.id);
    }
    this.order = this.order.filter(id => !gone.has(id));
    this.balance();
    if (!this.current) this.enter(next);
    if (focused && next) find(".shot-open", next).focus();
    return places;
  }

  // Many tiles at once are laid faster from the beginning than moved on from part to part.
  layAnew() {
    this.box.replaceChildren();
    this.order.forEach((id, at) => {
      if (at % PART === 0) this.box.append(part());
      this.box.lastElementChild.append(this.tile(id));
    });
  }

  // All parts but the last are full, so that no row of tiles has a gap. A tile that moves to another part keeps the focus.
  balance() {
    const focused = this.box.contains(document.activeElement) ? document.activeElement : null;
    for (let one = this.box.firstElementChild; one; one = one.nextElementSibling) {
      while (one.childElementCount > PART) (one.nextElementSibling ?? one.insertAdjacentElement("afterend", part())).prepend(one.lastElementChild);
      while (one.childElementCount < PART && one.nextElementSibling) {
        const next = one.nextElementSibling;
        if (next.childElementCount) one.append(next.firstElementChild);
        else next.remove();
      }
    }
    if (focused !== document.activeElement) focused?.focus({ preventScroll: true });
  }

  // The picture nearest to `id` that is not among the `gone`: an older one, or else a newer one.
  survivor(id, gone) {
    const at = this.order.indexOf(id), stays = one => !gone.has(one);
    if (at < 0) return undefined;
    return this.rows.get(this.order.slice(at).find(stays) ?? this.order.slice(0, at).findLast(stays));
  }

  update(id, changes) {
    const row = this.rows.get(id), tile = this.tile(id);
    if (!row) return;
    Object.assign(row, changes);
    find(".shot-star", tile).setAttribute("aria-pressed", row.starred);
    if (row.missing === tile.classList.contains("gone")) return;
    tile.classList.toggle("gone", row.missing);
    find(".shot-open", tile).replaceChildren(...seen(row));
  }

  made(row) {
    const tile = make("div", { role: "listitem", class: row.missing ? "shot gone" : "shot", "data-id": row.id, "data-shared": Boolean(row.shared_by), draggable: "true" },
      make("button", { type: "button", class: "shot-open", tabindex: -1 }, ...seen(row)),
      make("input", { type: "checkbox", class: "shot-select", tabindex: -1, "aria-label": "Select", title: "Select (X)" }),
      make("button", { type: "button", class: "shot-star", tabindex: -1, "aria-label": "Star", title: "Star (S)", "aria-pressed": String(row.starred) }));
    this.rows.set(row.id, row);
    this.tiles.set(row.id, tile);
    return tile;
  }

  // A thumbnail that does not come may be gone, or the server may be.
  async broken(image) {
    const row = this.rowOf(image);
    if (!row) return;
    const answer = await fetch(row.thumb, { cache: "no-store" }).catch(() => null);
    if (answer?.status === 404) this.update(row.id, { missing: true });
    else image.dataset.late = true;
  }

  mend() {
    for (const image of findAll("img[data-late]", this.box)) {
      delete image.dataset.late;
      image.src = this.rowOf(image).thumb;
    }
  }

  // ---- hands ----

  enter(tile) {
    if (!tile || tile === this.active) return;
    const reach = (one, index) => [...one?.children ?? []].forEach(control => { control.tabIndex = index; });
    reach(this.active, -1);
    reach(tile, 0);
    this.active = tile;
  }

  get current() { return this.active?.isConnected ? this.active : null; }

  clicked(event) {
    const row = this.rowOf(event.target);
    if (!row) return;
    if (event.target.closest(".shot-star")) this.owner.star(row);
    else if (!this.owner.picked(row, event)) this.owner.open(row);
  }

  byKey(event) {
    const row = this.rowOf(event.target);
    const command = event.ctrlKey || event.metaKey;
    if (!row || event.altKey || (command && event.key.toLowerCase() !== "a")) return;
    const to = this.target(event.key);
    if (command) this.owner.all();
    else if (to) {
      this.focus(to);
      this.owner.moved(this.rowOf(to), event.shiftKey, row);
    } else if (!this.owner.key(event.key, row)) return;
    event.preventDefault();
  }

  target(key) {
    const at = this.order.indexOf(this.current?.dataset.id);
    const { columns } = this;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: this.size - 1 }[key];
    return this.tile(this.order[to]);
  }

  focus(tile) {
    find(".shot-open", tile).focus();
    tile.scrollIntoView({ block: "nearest" });
  }
}
