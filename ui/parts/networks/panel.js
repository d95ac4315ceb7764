// The panel of cards: LoRAs, embeddings, hypernetworks and checkpoints of the models folders, searched, and put into the prompt.
import { ask, chooseCheckpoint, find, findAll, form, make, note, on, post, say, store, stored, toast } from "easel";
import { emptyCard, fillCard } from "./card.js";
import { openDetails } from "./details.js";
import { Grid, PAGE } from "./grid.js";
import { lastUsed, used } from "./prompt_boxes.js";
import { inPrompt, toggleIn } from "./use.js";
import { Tree } from "./tree.js";

const NONE = { lora: "There is no LoRA yet.", embedding: "There is no embedding yet.", hypernetwork: "There is no hypernetwork yet.", checkpoint: "There is no checkpoint yet." };
const RECENT = "recent", KEPT = 30;
const SORTS = [["name", "By name"], ["newest", "Newest first"], ["largest", "Largest first"], [RECENT, "Recently used first"]];
// CSS pixels: below the panel, and beside it on a phone; its own height; inside it, for trigger words and where there are no cards.
const SPACE = 12, BESIDE = 130, LOWEST = 340, HIGHEST = 620, WORDS = 48, NOTHING = 150;
const FEW = 9;              // files, beside which is told where more of them go
const panels = {};

const spelled = number => number.toLocaleString(document.documentElement.lang || "en");

let styled = null;
function styles() {
  return styled ??= new Promise(resolve => {
    const link = make("link", { rel: "stylesheet", href: new URL("./networks.css", import.meta.url).href });
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}

// `box`: the prompt box that had the focus last.
export async function openPanel(tab, kind, box) {
  if (!panels[tab]) used(box);
  await styles();
  const panel = panels[tab] ??= new Panel(tab);
  await panel.open(kind);
}

class Panel {
  constructor(tab) {
    this.tab = tab;
    this.key = `easel.networks.${tab}`;
    this.state = { sort: "name", unfitting: false, places: {}, ...stored(sessionStorage, this.key) };
    this.turn = 0;
    this.build();
    find(`#${tab}_bench > .prompts`).append(this.root);
    on("form", one => { if (one.tab === tab) this.follow(); });
  }

  // Where one is among the cards of the kind that is open.
  get place() { return this.state.places[this.state.kind] ??= { search: "", folder: "", top: 0 }; }
  get checkpoint() { return form(this.tab).values.checkpoint ?? ""; }

  keep() { store(sessionStorage, this.key, this.state); }

  // ---- what it is made of ----

  build() {
    const { tab } = this, icon = (name, label, more) => make("button", { type: "button", class: `tool icon-${name}`, "aria-label": label, title: label, ...more });
    this.search = make("input", { type: "search", placeholder: "Search", "aria-label": "Search in names, folders, trigger words and notes", autocomplete: "off", oninput: () => this.look({ search: this.search.value }) });
    this.sort = make("select", { "aria-label": "Order of the cards", onchange: () => { this.state.sort = this.sort.value; this.look({}); } }, ...SORTS.map(([value, label]) => make("option", { value }, label)));
    this.switch = make("input", { type: "checkbox", onchange: () => { this.state.unfitting = this.switch.checked; this.look({}); } });
    this.switchText = make("span", {});
    this.told = make("p", { class: "networks-told", role: "status" });
    this.side = make("div", { class: "networks-side", hidden: true });
    this.folder = make("button", { type: "button", class: "networks-folder", "aria-expanded": "false", hidden: true, onclick: () => this.openFolders(this.folder.getAttribute("aria-expanded") !== "true") });
    this.room = make("div", { class: "networks-room", onscroll: () => { this.place.top = this.room.scrollTop; } });
    this.empty = make("div", { class: "networks-empty", hidden: true });
    this.words = make("div", { class: "networks-words", hidden: true });
    this.root = make("section", { class: "networks card", id: `${tab}_networks_panel`, "data-tab": tab, hidden: true },
      make("div", { class: "networks-tools" }, this.search, this.sort, icon("refresh", "Look for new files", { onclick: () => this.refresh() }), icon("close", "Close", { "data-close-networks": true })),
      this.folder, make("div", { class: "networks-line" }, this.told, make("label", { hidden: true }, this.switch, this.switchText)),
      make("div", { class: "networks-body" }, this.side, make("div", { class: "networks-cards" }, this.room, this.empty)), this.words);
    this.tree = new Tree(this.side, folder => { this.openFolders(false); this.look({ folder }); });
    this.grid = new Grid(this.room, "Cards", { empty: emptyCard, fill: (item, card) => fillCard(item, card, Boolean(card) && inPrompt(tab, card)), load: start => this.cards(start) });
    this.room.addEventListener("click", event => this.click(event));
    this.room.addEventListener("keydown", event => { if (event.key.toLowerCase() === "i" && !event.ctrlKey && !event.metaKey && !event.altKey) this.details(event); });
    document.addEventListener("focusin", event => { if (event.target.matches?.(".prompt-box textarea") && this.state.kind === "embedding" && !this.root.hidden) this.tell(); });
    addEventListener("pagehide", () => this.keep());
  }

  async open(kind) {
    this.state.kind = kind;
    this.root.hidden = false;
    for (const button of findAll("[data-networks]", find(`#${this.tab}_networks`))) {
      button.setAttribute("aria-controls", this.root.id);
      button.setAttribute("aria-expanded", String(button.dataset.networks === kind));
      if (button.dataset.networks === kind) this.root.setAttribute("aria-label", button.textContent);
    }
    [this.search.value, this.sort.value, this.switch.checked] = [this.place.search, this.state.sort, this.state.unfitting];
    this.words.hidden = true;
    await this.query(this.place.top);
    this.fit();
    if (!matchMedia("(hover: none)").matches) this.search.focus({ preventScroll: true });
    else find(`#${this.tab}_networks`).scrollIntoView({ behavior: "smooth" });
  }

  // Where the panel is narrow, the folders lie behind a button.
  openFolders(open) {
    this.folder.setAttribute("aria-expanded", String(open));
    this.side.classList.toggle("open", open);
  }

  // As high as its cards need, and so that it ends where the window does; the prompt stays in sight.
  fit() {
    const top = this.root.getBoundingClientRect().top, around = this.root.offsetHeight - this.room.offsetHeight;
    const most = matchMedia("(hover: none)").matches ? innerHeight - BESIDE : Math.max(LOWEST, innerHeight - top - SPACE);
    const inside = Math.max(this.answer?.total ? this.grid.height + WORDS : NOTHING, this.side.scrollHeight);
    this.root.style.height = `${Math.min(most, HIGHEST, around + inside)}px`;
  }

  // ---- which cards ----

  async look(where) {
    Object.assign(this.place, where, { top: 0 });
    await this.query();
  }

  async query(top = 0) {
    const turn = ++this.turn, { kind } = this.state;
    this.asked = this.checkpoint;
    this.keep();
    let answer;
    try { answer = await ask(this.address(0)); } catch (error) { return turn === this.turn && this.fail(error); }
    if (turn !== this.turn) return;
    this.answer = answer;
    const known = answer.folders.includes(this.place.folder) || !this.place.folder;
    if (!known) return this.look({ folder: "" });       // it is gone
    this.side.hidden = this.folder.hidden = !answer.folders.length;
    this.folder.replaceChildren(make("span", {}, "Folder"), make("span", { translate: this.place.folder ? "no" : null }, this.place.folder || "All folders"));
    this.tree.show(answer.folders, this.place.folder);
    this.tell();
    this.grid.show(answer.total, answer.cards.map(card => ({ kind, ...card })), top);
  }

  address(start) {
    const { kind, sort, unfitting } = this.state, { search, folder } = this.place, recent = sort === RECENT;
    const query = new URLSearchParams({ search, folder, sort: recent ? "name" : sort, checkpoint: this.asked, unfitting, start, limit: PAGE });
    if (recent) for (const name of recentlyUsed(kind)) query.append("first", name);
    return `/easel/networks/${kind}?${query}`;
  }

  async cards(start) {
    const { kind } = this.state;
    return (await ask(this.address(start))).cards.map(card => ({ kind, ...card }));
  }

  fail(error) {
    this.answer = null;
    this.grid.show(0, []);
    this.empty.hidden = false;
    this.empty.replaceChildren(make("p", {}, error.message));
  }

  async refresh() {
    const { kind } = this.state;
    try { await post(`/easel/networks/${kind}/refresh`); } catch (error) { return note(error.message, 8000); }
    if (kind === "checkpoint") find("#refresh_checkpoints")?.click();
    await this.query(this.room.scrollTop);
    say("The list is new.");
  }

  // ---- what is told about them ----

  tell() {
    const { answer } = this, { kind } = this.state;
    if (!answer) return;
    const { total, left_out: leftOut } = answer, label = this.switch.parentElement;
    label.hidden = kind === "checkpoint" || !leftOut;
    this.switchText.textContent = `Those too that do not fit: ${spelled(leftOut)}`;
    this.told.replaceChildren(...this.sentences(answer).map(text => make("span", {}, text)));
    this.empty.hidden = total > 0;
    this.empty.replaceChildren(...(total ? [] : this.nothing(answer).map(text => make("p", {}, text))));
  }

  sentences({ total, cards, home }) {
    const { kind } = this.state, into = lastUsed(this.tab) === "prompt" ? "A click puts it into the prompt." : "A click puts it into the negative prompt, where you were last.";
    const shipped = total && total <= FEW && cards.every(card => card.name.startsWith("demo"));
    return [total ? total === 1 ? "1 card" : `${spelled(total)} cards` : "",
      kind === "embedding" && total ? into : "",
      shipped ? `It came with Easel, to try. Your own files go into models/${home}.` : ""].filter(Boolean);
  }

  nothing({ left_out: leftOut, home }) {
    const { search, folder } = this.place;
    const unfit = leftOut === 1 ? "1 more does not fit this checkpoint." : `${spelled(leftOut)} more do not fit this checkpoint.`;
    if (search.trim()) return ["Nothing here has all of these words.", ...(leftOut ? [unfit] : [])];
    if (leftOut) return ["Nothing here fits this checkpoint.", unfit];
    if (folder) return ["There is nothing in this folder."];
    return [NONE[this.state.kind], `Put the files into models/${home}, then press the round arrow above.`];
  }

  // Another checkpoint, or another text in the prompt.
  follow() {
    if (this.root.hidden) return;
    if (this.checkpoint !== this.asked && this.state.kind !== "checkpoint") this.query(this.room.scrollTop);
    else this.grid.refresh();
    this.mark();
  }

  mark() {
    for (const chip of findAll("[data-words]", this.words)) chip.setAttribute("aria-pressed", String(inPrompt(this.tab, chip.network, chip.dataset.box)));
  }

  // ---- what is done with one ----

  click(event) {
    const card = this.grid.cardOf(event.target);
    if (!card || !event.target.closest("button")) return;
    if (event.target.closest(".network-more")) this.details(event);
    else this.use(card);
  }

  async use(card) {
    if (card.broken) return note(`${card.name}: ${card.reason}`, 8000);
    if (card.kind === "checkpoint") return this.choose(card);
    if (!card.said) return note("Its name has signs that mean something else in a prompt, such as : or #. Give the file another name.", 8000);
    const added = toggleIn(this.tab, card);
    if (added) remember(card);
    this.offer(card, added);
    this.grid.refresh();
    if (added) await this.warn(card);
  }

  async choose(card) {
    const former = find("#checkpoint input").value;
    if (this.checkpoint === card.name) return;
    try { await chooseCheckpoint(card.title); } catch (error) { return note(error.message, 8000); }
    remember(card);
    toast(`${card.name} is the checkpoint now.`, { undo: () => chooseCheckpoint(former) });
  }

  // All layers of the file are compared with the checkpoint's; the list knows families alone.
  async warn(card) {
    const query = new URLSearchParams({ name: card.name, checkpoint: this.checkpoint });
    const { misfit, reason } = await ask(`/easel/networks/${card.kind}/details?${query}`).catch(() => ({}));
    if (misfit || reason || card.reason) note(misfit || `${card.name}: ${reason || card.reason}`, 8000);
  }

  // Its trigger words, each of which goes into the prompt by a click, or out of it.
  offer(card, added) {
    const chips = [...card.words.map(text => this.chip(text, "prompt")), ...(card.negative ? [this.chip(card.negative, "negative_prompt")] : [])];
    if (!chips.length || (!added && !chips.some(chip => chip.getAttribute("aria-pressed") === "true"))) return;
    this.words.hidden = false;
    this.words.replaceChildren(make("p", {}, `Trigger words of ${card.name}:`), ...chips);
  }

  chip(text, box, label = text) {
    const network = { kind: "words", said: text };
    const chip = make("button", { type: "button", class: "network-chip", translate: "no", "data-words": true, "data-box": box, "aria-pressed": String(inPrompt(this.tab, network, box)), onclick: () => {
      toggleIn(this.tab, network, box);
      chip.setAttribute("aria-pressed", String(inPrompt(this.tab, network, box)));
    } }, box === "prompt" ? label : `− ${label}`);
    chip.network = network;
    if (box !== "prompt") chip.title = "For the negative prompt";
    return chip;
  }

  details(event) {
    const card = this.grid.cardOf(event.target);
    if (!card) return;
    event.preventDefault();
    openDetails(this.tab, card, { changed: now => this.grid.refresh(now),
      tags: tags => make("div", { class: "networks-words" }, ...tags.map(({ tag, count }) => this.chip(tag, "prompt", `${tag} ${count}`))) });
  }
}

// ---- which were used, on this browser ----

const USED = "easel.networks.used";
const recentlyUsed = kind => stored(localStorage, USED)?.[kind] ?? [];

function remember({ kind, name }) {
  const known = recentlyUsed(kind).filter(one => one !== name);
  store(localStorage, USED, { ...stored(localStorage, USED), [kind]: [name, ...known].slice(0, KEPT) });
}
