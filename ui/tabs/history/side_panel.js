// One picture of the history with all that made it: a panel beside the pictures, on a phone a sheet over them.
import { fillInfo } from "../../parts/infotext.js";
import { addSource, openLightbox } from "../../parts/lightbox.js";
import * as picture from "../../parts/init_image.js";
import { openShare } from "../../parts/share.js";
import { showsPicture } from "../../scripts/location_hash.js";
import { copy } from "../../scripts/clipboard.js";
import { find, findAll } from "../../scripts/dom.js";
import { formOf } from "../../scripts/form.js";
import { ask } from "../../scripts/http.js";
import { translated } from "../../scripts/translate.js";
import * as extras from "../extras/extras.js";
import { described } from "./grid.js";
import { withRoot } from "../../scripts/root.js";

const NARROW = matchMedia("(max-width: 820px)");
const SENDS = {
  txt2img: (row, told) => formOf("txt2img").reuse(told.request),
  img2img: (row, told) => picture.send(row, told.request),
  inpaint: (row, told) => picture.send(row, told.request, { inpaint: true }),
  extras: (row, told) => extras.send({ url: row.url, infotext: told.infotext, name: row.name }),
  face: async row => (await import("../../parts/guides/use_face.js")).useFace("txt2img", row.url),
};

export class Details {
  constructor(box, history) {
    this.box = box;
    this.history = history;
    this.row = null;
    this.answers = new Map();
    this.tab = "history";
    addSource(this);
    box.addEventListener("click", event => this.clicked(event));
    box.addEventListener("close", () => this.closed());
    find("img", box).addEventListener("error", () => this.broken());
    NARROW.addEventListener("change", () => { if (this.row) this.place(); });
  }

  // ---- what the lightbox asks for ----

  list() { return this.history.grid.list().filter(row => !row.missing); }
  chosen(id) { const row = this.history.grid.rows.get(id); if (row) this.open(row); }
  focus(id) { const tile = this.history.grid.tile(id); if (tile && !this.box.contains(document.activeElement)) this.history.grid.focus(tile); }
  more() { return this.history.more(); }
  isComplete() { return this.history.complete; }

  // ---- open and closed ----

  open(row) {
    this.row = row;
    this.mark();
    this.render();
    if (!this.box.open) this.place();
    showsPicture("history", row.id);
  }

  // A panel leaves the focus where it was; a sheet takes it.
  place() {
    const focused = document.activeElement;
    const modal = NARROW.matches;
    this.box.close();
    if (modal) this.box.showModal();
    else this.box.show();
    if (!modal) focused?.focus({ preventScroll: true });
  }

  // Told late: the box may be open again, in its other form.
  closed() {
    if (this.box.open) return;
    this.row = null;
    this.mark();
    showsPicture("history");
  }

  mark() {
    this.marked?.classList.remove("shown");
    this.marked = this.history.grid.tile(this.row?.id);
    this.marked?.classList.add("shown");
  }

  close() { this.box.close(); }
  leave() { if (this.row && !this.history.grid.rows.has(this.row.id)) this.close(); }
  forget(ids) { for (const id of ids) this.answers.delete(id); }
  step(by) { const next = this.history.beside(this.row.id, by); if (next) this.open(next); }

  // ---- what is shown ----

  render() {
    const row = this.row;
    find(".details-name", this.box).textContent = row.name;
    this.renderPicture(row);
    this.renderActs(row);
    this.renderTold(row);
  }

  renderPicture(row) {
    const button = find(".details-picture", this.box), image = find("img", button);
    button.hidden = row.missing;
    find(".details-gone", this.box).hidden = !row.missing;
    if (row.missing) return image.removeAttribute("src");
    if (image.getAttribute("src") !== row.url) image.src = row.url;
    image.alt = described(row);
    button.style.aspectRatio = `${row.width} / ${row.height}`;
  }

  renderActs(row) {
    const act = name => find(`[data-details="${name}"]`, this.box);
    act("star").setAttribute("aria-pressed", row.starred);
    act("download").hidden = row.missing;
    act("download").href = withRoot(`/easel/image/${row.id}?download=true`);
    act("download").download = row.name;
    const others = Boolean(row.shared_by), shared = find(".details-shared", this.box);
    for (const name of ["star", "boards"]) act(name).hidden = others;
    act("share").hidden = others || row.binned || row.missing;
    shared.hidden = !others;
    shared.textContent = others ? `${row.shared_by} shows you this picture.` : "";
    act("bin").hidden = others || row.binned;
    act("restore").hidden = !row.binned;
    act("newer").disabled = !this.history.beside(row.id, -1);
    act("older").disabled = !this.history.beside(row.id, 1);
    for (const button of findAll("[data-send]", this.box)) button.hidden = row.missing && button.dataset.send !== "txt2img";
    find(".details-facts", this.box).textContent = facts(row);
  }

  async renderTold(row) {
    const text = find(".infotext", this.box);
    if (text.dataset.id === row.id) return;
    text.dataset.id = row.id;
    fillInfo(text, row.prompt);
    const fill = words => { if (text.dataset.id === row.id) fillInfo(text, words); };
    try { fill((await this.told(row)).infotext); }
    catch (error) { fill(`The settings did not come: ${error.message}`); text.dataset.id = ""; }
  }

  async told(row) {
    if (!this.answers.has(row.id)) this.answers.set(row.id, ask(`/easel/image/${row.id}/info`).catch(error => { this.answers.delete(row.id); throw error; }));
    return this.answers.get(row.id);
  }

  async broken() {
    const row = this.row;
    if (!row || row.missing) return;
    const answer = await fetch(row.url, { cache: "no-store" }).catch(() => null);
    if (answer?.status === 404) this.history.update([row], { missing: true });
  }

  // ---- what is done ----

  clicked(event) {
    if (event.target === this.box && this.box.matches(":modal")) return this.close();   // beside the sheet
    const { details, send } = event.target.closest("[data-details], [data-send]")?.dataset ?? {};
    if (send) this.send(send);
    else if (details) this.act(details);
  }

  act(name) {
    const { row, history } = this;
    const acts = {
      newer: () => this.step(-1), older: () => this.step(1), close: () => this.close(), whole: () => openLightbox(this, row.id),
      star: () => history.actions.toggle([row]), bin: () => history.actions.bin([row]), restore: () => history.actions.restore([row]),
      boards: () => history.boards.menu(find("[data-details=boards]", this.box), [row]),
      share: () => openShare("picture", row.id),
      copy: () => history.actions.tried(async () => copy((await this.told(row)).infotext)),
    };
    acts[name]?.();
  }

  send(name) {
    const { row, history } = this;
    history.actions.tried(async () => {
      const told = await this.told(row);
      if (this.box.matches(":modal")) this.close();
      await SENDS[name](row, told);
    });
  }
}

function facts(row) {
  const made = new Date(row.created).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return [`${row.width} × ${row.height}`, row.model, row.sampler, made, row.init_image && translated("from a picture")].filter(Boolean).join(" · ");
}
