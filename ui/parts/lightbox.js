// Pictures on the whole screen, for every place that shows some. PhotoSwipe zooms, pans and swipes; the dialog around it keeps the
// page behind it still and gives the focus back.
import { showsPicture } from "../scripts/location_hash.js";
import { find, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { shortcuts, showKeys } from "../scripts/keys.js";
import { currentTab } from "../scripts/tabs.js";
import { fillInfo } from "./infotext.js";
import { note, say } from "./notices.js";
import { PictureActions } from "./picture_actions.js";
import { described, info, loaded } from "./finished_pictures.js";

const BAR = 56, NARROW = 820, DEEPEST = 8;      // pixels; the deepest zoom, in screen pixels per pixel of the picture
const AHEAD = 5;        // pictures before the last one at which older ones are asked for
const ADDRESSED = ["history", "plots"];      // tabs whose part of the address is theirs
const QUICK = 150;      // ms of a zoom by key
const VIEWS = [["actual", "One pixel for one", "1"], ["whole", "The whole picture", "0"], ["info", "Settings of this picture", "I"], ["close", "Close", "Escape"]];
const KEYS = { 1: "actual", 0: "whole", "+": "closer", "=": "closer", "-": "farther", i: "info", f: "close", Home: "first", End: "last", "?": "keys" };

shortcuts("Full screen", [...VIEWS.map(([, text, key]) => [key, text]), [["+", "-"], "Zoom"], [["ArrowLeft", "ArrowRight"], "Newer or older picture"], ["?", "This list"]]);

// As large as the room allows, small pictures too.
const whole = ({ elementSize, panAreaSize }) => Math.min(panAreaSize.x / elementSize.x, panAreaSize.y / elementSize.y);
const padding = ({ x }) => ({ top: BAR, bottom: x > NARROW ? 12 : BAR, left: 0, right: 0 });
const slide = row => ({ src: row.url, msrc: row.thumb, width: row.width, height: row.height, alt: described(row) });
const LOOK = {
  loop: false, bgOpacity: 1, wheelToZoom: true, escKey: false, trapFocus: false, returnFocus: false, showHideAnimationType: "none",
  counter: false, zoom: false, close: false, arrowPrevTitle: "Newer picture", arrowNextTitle: "Older picture", errorMsg: "The picture did not come.",
  paddingFn: padding, initialZoomLevel: whole, secondaryZoomLevel: zoom => Math.abs(whole(zoom) - 1) < 0.01 ? 2 : 1, maxZoomLevel: DEEPEST,
  clickToCloseNonZoomable: false, imageClickAction: "zoom", bgClickAction: "close", tapAction: "toggle-controls",
};

const viewButton = ([name, label, key]) => make("button", { type: "button", class: `tool icon-${name}`, "data-view": name,
  "aria-label": label, title: `${label} (${key})`, "aria-keyshortcuts": key, "aria-pressed": name === "info" ? "false" : null });

function built() {
  const parts = ["prompt", "negative", "settings"].map(part => make("p", { class: `infotext-${part}` }));
  return make("dialog", { class: "lightbox", tabindex: -1, "aria-label": "Picture, full screen" },
    make("div", { class: "lightbox-room" }),
    make("div", { class: "lightbox-bar" }, make("span", { class: "lightbox-counter", translate: "no" }),
      make("div", { class: "lightbox-acts", role: "group", "aria-label": "This picture" }),
      make("div", { class: "lightbox-views" }, ...VIEWS.map(viewButton))),
    make("div", { class: "infotext lightbox-text", hidden: true, tabindex: 0, role: "region", "aria-label": "Settings of this picture" }, ...parts));
}

// A gallery that still opens does not hear that it shall go.
function end(pswp) {
  pswp?.element?.remove();
  if (pswp?.opener.isOpen) pswp.destroy();
  else pswp?.on("openingAnimationEnd", () => pswp.destroy());
}

class Lightbox {
  constructor() {
    this.rows = [];
    this.first = 0;         // the picture that was asked for
    this.gone = new Map();      // id -> { row, index } of those that went to the bin
    this.dialog = built();
    document.body.append(this.dialog);
    this.text = find(".lightbox-text", this.dialog);
    this.actions = new PictureActions(find(".lightbox-acts", this.dialog), { tab: "txt2img", shown: () => this.row, left: () => this.close() });
    this.dialog.addEventListener("click", event => this.view(event.target.closest("[data-view]")?.dataset.view));
    document.addEventListener("keydown", event => this.byKey(event));
    this.dialog.addEventListener("close", () => this.closed());
  }

  get at() { return this.pswp?.currIndex ?? this.first; }      // the gallery may still be on its way
  get row() { return this.rows[this.at]; }

  open(source, id) {
    const rows = [...source.list()], at = rows.findIndex(row => row.id === id);
    if (at < 0 || this.dialog.open) return;
    Object.assign(this, { source, rows, first: at, pswp: null, shown: "" });
    this.gone.clear();
    this.dialog.showModal();
    this.dialog.focus();
    this.begin(at).catch(error => { this.close(); note(error.message, 8000); });
  }

  // Also after the list has changed: a gallery keeps the list that it began with.
  async begin(at) {
    const { default: PhotoSwipe } = await import("../vendor/photoswipe/photoswipe.esm.min.js");
    if (!this.dialog.open) return;
    const former = this.pswp, pswp = this.pswp = new PhotoSwipe({ ...LOOK, dataSource: this.rows.map(slide), index: at, appendToEl: find(".lightbox-room", this.dialog) });
    end(former);
    pswp.on("change", () => this.stepped());
    pswp.on("close", () => { if (this.pswp === pswp) this.close(); });
    pswp.init();
    pswp.element.removeAttribute("role");     // the dialog around it has one
    this.stepped();
  }

  close() { if (this.dialog.open) this.dialog.close(); }

  closed() {
    const { pswp, row } = this;
    this.pswp = null;
    end(pswp);
    if (row) this.source.focus(row.id);
    if (!ADDRESSED.includes(this.source.tab)) showsPicture(this.source.tab);
  }

  // ---- which picture ----

  stepped() {
    const { row } = this;
    if (!row || !this.pswp || this.shown === row.id) return;
    this.shown = row.id;
    this.source.chosen(row.id);
    say(described(row));
    this.render();
    requestAnimationFrame(() => this.keepFocus());
    if (!ADDRESSED.includes(this.source.tab)) showsPicture(this.source.tab, row.id);
    if (this.at >= this.rows.length - AHEAD && !this.source.isComplete()) this.more().catch(error => note(error.message, 8000));
  }

  // An arrow that leads nowhere is disabled, and would take the focus with it.
  keepFocus() {
    const now = document.activeElement;
    if (this.dialog.open && (now === document.body || now.matches(":disabled"))) this.dialog.focus();
  }

  async more() {
    await this.source.more();
    const last = this.rows.at(-1), listed = this.source.list(), older = listed.slice(listed.findIndex(row => row.id === last?.id) + 1);
    if (!this.pswp || older.length === listed.length) return;
    this.rows.push(...older);
    this.pswp.options.dataSource.push(...older.map(slide));
    for (const index of [1, 2]) this.pswp.refreshSlideContent(this.at + index);
    this.render();
  }

  removed(ids) {
    const { at } = this, had = this.rows.length;
    this.rows.forEach((row, index) => { if (ids.includes(row.id)) this.gone.set(row.id, { row, index }); });
    this.rows = this.rows.filter(row => !ids.includes(row.id));
    if (!this.rows.length) this.close();
    else if (this.rows.length !== had) this.begin(Math.min(at, this.rows.length - 1));
  }

  returned(ids) {
    const back = ids.map(id => this.gone.get(id)).filter(Boolean);
    for (const { row, index } of back) this.rows.splice(index, 0, row);
    for (const id of ids) this.gone.delete(id);
    if (back.length) this.begin(back[0].index);
  }

  starred({ ids, on: starred }) {
    for (const row of this.rows) if (ids.includes(row.id)) row.starred = starred;
    this.render();
  }

  // ---- what is shown of it ----

  render() {
    const { row } = this;
    find(".lightbox-counter", this.dialog).textContent = `${this.at + 1} / ${this.rows.length}${this.source.isComplete() ? "" : "+"}`;
    this.actions.render();
    if (!row || this.text.hidden || this.text.dataset.id === row.id) return;
    this.text.dataset.id = row.id;
    const fill = text => { if (this.text.dataset.id === row.id) fillInfo(this.text, text); };
    info(row).then(({ infotext }) => fill(infotext), error => fill(error.message));
  }

  view(name) {
    const { pswp } = this, zoom = level => pswp?.currSlide.zoomTo(level, undefined, QUICK);
    const acts = {
      close: () => this.close(), info: () => this.tell(), first: () => pswp?.goTo(0), last: () => pswp?.goTo(this.rows.length - 1),
      actual: () => zoom(1), whole: () => zoom(pswp.currSlide.zoomLevels.initial),
      closer: () => zoom(pswp.currSlide.currZoomLevel * 1.5), farther: () => zoom(pswp.currSlide.currZoomLevel / 1.5),
      keys: () => showKeys("Full screen"),
    };
    acts[name]?.();
  }

  tell() {
    this.text.hidden = !this.text.hidden;
    find('[data-view="info"]', this.dialog).setAttribute("aria-pressed", String(!this.text.hidden));
    this.render();
  }

  byKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.pswp || event.target.closest("[role=menu]")) return;
    if (event.target !== document.body && !this.dialog.contains(event.target)) return;
    const name = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (name) this.view(name);
    else if (!this.actions.byKey(event)) return;
    event.preventDefault();
  }
}

let box = null;
const sources = [];     // places that show pictures, each { tab, list(), chosen(id), focus(id), more(), isComplete() }

export const addSource = source => sources.push(source);
export const openLightbox = (source, id) => (box ??= new Lightbox()).open(source, id);
export const close = () => box?.close();

// A picture by its id alone, as an address names it; where its place is not known, steps lead nowhere from it.
export async function open(id) {
  await loaded;
  const here = [...sources].sort((a, b) => (b.tab === currentTab()) - (a.tab === currentTab()));
  const found = here.find(source => source.list().some(row => row.id === id));
  if (found) return openLightbox(found, id);
  const row = await info({ id });
  openLightbox({ list: () => [row], chosen: () => {}, focus: () => {}, isComplete: () => true, tab: currentTab() }, id);
}

on("address", ({ tab, picture }) => {
  if (ADDRESSED.includes(tab) || !picture) close();
  else if (box?.dialog.open !== true) open(picture).catch(() => showsPicture(tab));
});
on("binned", ids => { if (box?.pswp) box.removed(ids); });
on("restored", ids => { if (box?.pswp) box.returned(ids); });
on("starred", change => { if (box?.pswp) box.starred(change); });
