// A grid of many cards, of which only those in sight are on the page. Cards are asked for by the page, by their place in the list.
import { find, make } from "easel";

const GAP = 8, LEAST = 92, LINES = 58;     // CSS pixels: between cards, the least width of one, its words below the picture
const AHEAD = 2;                            // rows above and below those in sight
export const PAGE = 60;

export class Grid {
  // `fill(item, card)` shows a card, or none yet, in a list item; `load(start)` answers with a page of cards.
  constructor(room, label, { empty, fill, load }) {
    Object.assign(this, { room, empty, fill, load, items: new Map(), current: 0, turn: 0 });
    this.list = make("ul", { class: "network-cards", "aria-label": label });
    room.append(this.list);
    room.addEventListener("scroll", () => this.draw(), { passive: true });
    this.list.addEventListener("keydown", event => this.byKey(event));
    this.list.addEventListener("focusin", event => this.enter(event.target.closest("li")));
    new ResizeObserver(() => this.measure()).observe(room);
  }

  // Another list: how many cards it has, the first page of them, and how far down it is seen. The same items show it.
  show(total, cards, top = 0) {
    this.turn++;
    Object.assign(this, { total, cards: [...cards], asked: new Set([0]), current: 0 });
    for (const [at, item] of this.items) {
      if (at >= total) this.drop(item);
      else this.number(item);
    }
    this.refresh();
    this.measure();
    if (this.room.scrollTop !== top) this.room.scrollTop = top;
    this.draw();
  }

  measure() {
    const width = this.list.clientWidth;         // the room has a rim for what has the focus
    if (!width || this.total === undefined) return;
    if (width !== this.width) {
      this.width = width;
      this.columns = Math.max(1, Math.floor((width + GAP) / (LEAST + GAP)));
      this.side = (width - GAP * (this.columns - 1)) / this.columns;
      this.row = this.side + LINES + GAP;
      for (const item of this.items.values()) this.put(item);
    }
    this.height = Math.max(0, Math.ceil(this.total / this.columns) * this.row - GAP);
    this.list.style.height = `${this.height}px`;
    this.draw();
  }

  draw() {
    if (!this.row) return;
    const first = Math.max(0, Math.floor(this.room.scrollTop / this.row) - AHEAD) * this.columns;
    const last = Math.min(this.total, (Math.ceil((this.room.scrollTop + this.room.clientHeight) / this.row) + AHEAD) * this.columns);
    for (const [at, item] of this.items) if ((at < first || at >= last) && at !== this.current) this.drop(item);
    for (let at = first; at < last; at++) this.item(at);
    if (this.total) this.item(this.current);
    for (let page = Math.floor(first / PAGE); page * PAGE < last; page++) this.need(page);
  }

  item(at) {
    if (this.items.has(at)) return this.items.get(at);
    const item = this.empty();
    item.at = at;
    this.items.set(at, item);
    this.number(item);
    this.put(item);
    this.fill(item, this.cards[at]);
    const next = [...this.list.children].find(other => other.at > at);
    this.list.insertBefore(item, next ?? null);
    return item;
  }

  // Where it is among all of them, for those who do not see it.
  number(item) {
    item.setAttribute("aria-posinset", item.at + 1);
    item.setAttribute("aria-setsize", this.total);
    this.reach(item);
  }

  drop(item) {
    item.remove();
    this.items.delete(item.at);
  }

  put(item) {
    const column = item.at % this.columns, row = Math.floor(item.at / this.columns);
    Object.assign(item.style, { left: `${column * (this.side + GAP)}px`, top: `${row * this.row}px`, width: `${this.side}px`, height: `${this.row - GAP}px` });
  }

  async need(page) {
    if (this.asked.has(page)) return;
    this.asked.add(page);
    const turn = this.turn;
    try {
      const cards = await this.load(page * PAGE);
      if (turn !== this.turn) return;
      cards.forEach((card, i) => { this.cards[page * PAGE + i] = card; });
      this.refresh();
    } catch { if (turn === this.turn) this.asked.delete(page); }     // asked for again when it is next in sight
  }

  // What cards say has changed; `changed` takes the place of one that has the same name.
  refresh(changed) {
    const at = changed ? this.cards.findIndex(card => card?.name === changed.name) : -1;
    if (at >= 0) this.cards[at] = { ...this.cards[at], ...changed, reason: this.cards[at].reason };
    for (const item of this.items.values()) this.fill(item, this.cards[item.at]);
  }

  cardOf(element) { return this.cards?.[element.closest("li")?.at]; }

  // ---- by keyboard: one stop for Tab, the arrows go on from there ----

  reach(item) { find("button", item).tabIndex = item.at === this.current ? 0 : -1; }

  enter(item) {
    if (!item || item.at === this.current) return;
    const former = this.items.get(this.current);
    this.current = item.at;
    for (const one of [former, item]) if (one) this.reach(one);
  }

  focus(at) {
    const to = Math.min(this.total - 1, Math.max(0, at)), top = Math.floor(to / this.columns) * this.row, bottom = top + this.row;
    if (top < this.room.scrollTop) this.room.scrollTop = top;
    else if (bottom > this.room.scrollTop + this.room.clientHeight) this.room.scrollTop = bottom - this.room.clientHeight;
    find("button", this.item(to)).focus({ preventScroll: true });
    this.draw();
  }

  byKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const page = Math.max(1, Math.floor(this.room.clientHeight / this.row)) * this.columns;
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const to = this.current + by, row = Math.floor(this.current / this.columns), rows = Math.ceil(this.total / this.columns);
    if (Math.abs(by) !== this.columns || (to >= 0 && (to < this.total || row < rows - 1))) this.focus(to);
  }
}
