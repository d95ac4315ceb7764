// A tab's results: the picture shown, what can be done with it, the strip of the tab's pictures and of those being drawn.
import { find, findAll, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { examplePrompts, formOf } from "../scripts/form.js";
import { shortcuts } from "../scripts/keys.js";
import { Comparison } from "./comparison_slider.js";
import { fillInfo } from "./infotext.js";
import { addSource, openLightbox } from "./lightbox.js";
import { note } from "./notices.js";
import { PictureActions } from "./picture_actions.js";
import { described, drawn, info, isComplete, made, older } from "./finished_pictures.js";
import * as progress from "./progress.js";
import * as queue from "./queue.js";
import { withRoot } from "../scripts/root.js";

const views = {};
const LIVE = "live ";       // how the tile of a job being drawn is named, before the job's id
// Beside the actions: ways of looking at a picture.
const TOOLS = [["before", "Before and after", "B", "before"], ["grid", "All pictures of this job", "G", "grid"], ["full", "Full screen", "F", ""]];
const SHARP = 9;            // pictures of a job that its grid shows from their files, not from thumbnails

shortcuts("Picture, with the focus in the results or on the full screen", TOOLS.map(([, text, key]) => [key, text]));

function decoded(url) {
  const loader = new Image();
  loader.src = url;
  return loader.decode().catch(() => {});
}

class Results {
  constructor(tab) {
    this.tab = tab;
    this.chosenId = null;       // a picture, or a job that is being drawn; null follows the newest
    this.drawing = new Map();   // job -> the address of its preview, "" before the first
    this.tiles = new Map();
    this.mode = "";             // how the stage shows the picture: "" alone, "grid" with its job's others, "before" beside what it was made from
    addSource(this);
  }

  list() { return made(this.tab); }
  seed() { return this.shown()?.seed; }
  async request() { return this.shown() && (await info(this.shown())).request; }

  // The picture that the actions are about.
  shown() { const own = this.list(); return own.find(picture => picture.id === this.chosenId) ?? own[0]; }

  // The job whose preview is seen: the chosen one, or the oldest, for as long as it is drawn.
  get followed() {
    const chosen = this.chosenId?.startsWith(LIVE) ? this.chosenId.slice(LIVE.length) : null;
    if (chosen && this.drawing.has(chosen)) return chosen;
    return this.chosenId === null || chosen ? [...this.drawing.keys()][0] : undefined;
  }

  get preview() { return this.drawing.get(this.followed) || ""; }

  // ---- what is being drawn ----

  live({ job, preview, preview_index: index }) {
    const url = preview && !drawn(job, index) ? withRoot(`/easel/preview/${job}?n=${preview}`) : "";
    if (this.drawing.get(job) === url) return;
    this.drawing.set(job, url);
    this.render();
  }

  ended(job) {
    if (!this.drawing.delete(job)) return;
    this.tiles.delete(LIVE + job);
    if (this.chosenId === LIVE + job) this.chosenId = null;
    this.render();
  }

  // A picture of it is there, and takes the place of its preview.
  finished(job) {
    if (!this.drawing.has(job)) return;
    this.drawing.set(job, "");
    this.render();
  }

  // ---- what the lightbox asks for ----

  chosen(id) { this.pick(id); }
  more() { return older(this.tab); }
  isComplete() { return isComplete(); }
  focus(id) {
    if (this.root?.checkVisibility()) (find(`.strip [data-id="${CSS.escape(id)}"]`, this.root) ?? find(".stage-picture", this.root)).focus({ preventScroll: true });
  }

  // ---- what is shown ----

  choose(id) {
    this.chosenId = id;
    this.render();
  }

  render() {
    if (!this.root) return;
    const own = this.list();
    if (!this.fits(this.mode)) this.mode = "";
    this.renderStage();
    this.renderGrid();
    this.renderBefore();
    this.renderStrip(own);
    this.renderInfo();
    this.actions.render();
  }

  async renderStage() {
    const draft = this.preview, shown = this.shown(), button = find(".stage-picture", this.root), image = find("img", button);
    find(".stage-empty", this.root).hidden = Boolean(draft || shown);
    button.hidden = Boolean(this.mode) || !(draft || shown);
    button.classList.toggle("draft", Boolean(draft));
    if (!draft && !shown) return this.renderExamples();
    const url = draft || shown.url, label = draft ? "Preview of the picture being drawn" : described(shown);
    button.dataset.want = url;
    await decoded(url);
    if (button.dataset.want !== url) return;
    if (image.getAttribute("src") !== url) image.src = url;
    image.alt = label;
  }

  renderExamples() {
    const examples = examplePrompts(this.tab);
    find(".examples", this.root).hidden = !examples.length;
    find(".examples ul", this.root).replaceChildren(...examples.map(text => make("li", {},
      make("button", { type: "button", class: "example", onclick: () => formOf(this.tab).apply({ prompt: text }) }, text))));
  }

  // The pictures of the job of the one shown, as they were drawn.
  siblings() {
    const { job } = this.shown() ?? {};
    return this.list().filter(picture => picture.job === job && picture.index >= 0).sort((a, b) => a.index - b.index);
  }

  // Whether the picture shown can be seen that way.
  fits(mode) {
    if (!mode) return true;
    return !this.preview && (mode === "grid" ? this.siblings().length > 1 : Boolean(this.shown()?.init_image));
  }

  renderBefore() {
    const place = find(".stage-compare", this.root), shown = this.shown();
    place.hidden = this.mode !== "before";
    if (place.hidden) return;
    this.before ??= new Comparison(place.firstElementChild);
    if (this.compared !== shown.id) this.before.part(50);
    this.compared = shown.id;
    this.before.show([{ url: withRoot(`/easel/upload/${shown.init_image}`), alt: "Before", caption: "Before" }, { url: shown.url, alt: described(shown), caption: "After" }],
      shown.width / shown.height);
  }

  renderGrid() {
    const batch = this.siblings(), place = find(".stage-grid", this.root), shown = this.shown();
    for (const [name, , , mode] of TOOLS) if (mode) {
      const button = find(`.icon-${name}`, this.root);
      button.disabled = !this.fits(mode);
      button.setAttribute("aria-pressed", String(this.mode === mode));
    }
    place.hidden = this.mode !== "grid";
    if (place.hidden) return place.replaceChildren();
    place.style.setProperty("--across", Math.ceil(Math.sqrt(batch.length)));
    const key = batch.map(picture => picture.id).join();
    if (place.dataset.key !== key || !place.children.length) place.replaceChildren(...batch.map(picture => make("button", { type: "button", class: "cell", "data-id": picture.id },
      make("img", { src: batch.length <= SHARP ? picture.url : picture.thumb, alt: described(picture) }))));
    place.dataset.key = key;
    for (const cell of place.children) cell.setAttribute("aria-pressed", String(cell.dataset.id === shown.id));
  }

  renderStrip(own) {
    const film = find(".film", this.root), strip = find(".strip", film);
    const wanted = [...[...this.drawing.keys()].map(job => this.liveTile(job)), ...own.map(picture => this.tile(picture))];
    film.hidden = !wanted.length;
    find(".older", film).hidden = isComplete();
    const active = strip.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    if (wanted.length !== strip.children.length || wanted.some((one, i) => one !== strip.children[i])) strip.replaceChildren(...wanted);
    const current = this.followed ? LIVE + this.followed : this.shown()?.id;
    for (const one of strip.children) {
      one.setAttribute("aria-selected", String(one.dataset.id === current));
      one.tabIndex = one.dataset.id === current ? 0 : -1;
    }
    if (active) (find(`[data-id="${CSS.escape(active)}"]`, strip) ?? find('[aria-selected="true"]', strip))?.focus({ preventScroll: true });
    this.reveal(find('[aria-selected="true"]', strip));
  }

  // Sideways only, and only where the strip does not show it: the page stays where it is.
  reveal(tile) {
    if (!tile || this.revealed === tile.dataset.id) return;
    this.revealed = tile.dataset.id;
    const film = find(".film", this.root), at = tile.offsetLeft - film.offsetLeft, end = at + tile.offsetWidth;
    if (at < film.scrollLeft) film.scrollLeft = at - 4;
    else if (end > film.scrollLeft + film.clientWidth) film.scrollLeft = end + 4 - film.clientWidth;
  }

  tile(picture) {
    if (!this.tiles.has(picture.id)) this.tiles.set(picture.id, make("div", { role: "option", class: "tile", "data-id": picture.id },
      make("img", { src: picture.thumb, loading: "lazy", alt: described(picture) })));
    const tile = this.tiles.get(picture.id), image = find("img", tile);
    if (image.getAttribute("src") !== picture.thumb) image.src = picture.thumb;
    return tile;
  }

  liveTile(job) {
    const id = LIVE + job;
    if (!this.tiles.has(id)) this.tiles.set(id, make("div", { role: "option", class: "tile live", "data-id": id, "aria-label": "Being drawn" }, make("img", { alt: "Being drawn" })));
    const tile = this.tiles.get(id), image = find("img", tile), url = this.drawing.get(job);
    if (url && image.getAttribute("src") !== url) image.src = url;
    if (!url) image.removeAttribute("src");
    return tile;
  }

  renderInfo() {
    const picture = this.preview ? null : this.shown(), text = find(".infotext", this.root), facts = find(".picture-facts", this.root);
    text.hidden = !picture;
    if (!picture) { facts.textContent = ""; return; }
    const key = `${picture.id} ${picture.url} ${this.drawing.size}`;      // a job's time is known when it has ended
    if (text.dataset.key === key) return;
    if (!text.dataset.key?.startsWith(`${picture.id} `)) facts.textContent = `${picture.width} × ${picture.height}`;
    text.dataset.key = key;
    info(picture).then(all => {
      if (text.dataset.key !== key) return;
      fillInfo(text, all.infotext);
      facts.replaceChildren(...factsOf(all).flatMap((fact, i) => i ? [" · ", make("span", {}, fact)] : [make("span", {}, fact)]));
    }, error => { if (text.dataset.key === key) fillInfo(text, error.message); text.dataset.key = ""; });
  }

  // ---- hands ----

  pick(id) {
    const first = this.drawing.size ? LIVE + [...this.drawing.keys()][0] : this.list()[0]?.id;
    this.choose(id === first ? null : id);
  }

  open() { const shown = this.shown(); if (shown && !this.preview) openLightbox(this, shown.id); }

  use(mode) {
    if (!mode) return this.open();
    this.mode = this.mode === mode || !this.fits(mode) ? "" : mode;
    this.render();
  }

  byKey(event) {
    const { target, key } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || target.closest(".queue, .infotext, [role=menu]")) return;
    const inStrip = target.closest(".strip"), onStage = target.closest(".stage-picture");
    const tool = TOOLS.find(([, , own]) => own.toLowerCase() === key.toLowerCase());
    const end = { Home: -Infinity, End: Infinity }[key], by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key] ?? end;
    if (by && (inStrip || onStage)) this.walk(by, inStrip);
    else if (inStrip && (key === "Enter" || key === " ")) this.open();
    else if (tool) this.use(tool[3]);
    else if (!this.actions.byKey(event)) return;
    event.preventDefault();
  }

  walk(by, focus) {
    const order = findAll(".tile", this.root), at = order.findIndex(one => one.tabIndex === 0);
    const to = order[Math.min(order.length - 1, Math.max(0, at + by))];
    if (to) this.pick(to.dataset.id);
    if (focus) find('.strip [aria-selected="true"]', this.root)?.focus({ preventScroll: true });
  }

  start(root) {
    this.root = root;
    const bar = find(".picture-tools", root), strip = find(".strip", root), more = () => older(this.tab).catch(error => note(error.message, 8000));
    this.actions = new PictureActions(bar, { tab: this.tab, shown: () => this.preview ? undefined : this.shown() });
    bar.append(...TOOLS.map(([name, label, key, mode]) => make("button", { type: "button", class: `tool icon-${name}`, "aria-label": label, title: `${label} (${key})`, "aria-keyshortcuts": key,
      onclick: () => this.use(mode), hidden: mode === "before" && this.tab === "txt2img" })));
    strip.addEventListener("click", event => { const one = event.target.closest(".tile"); if (one) this.pick(one.dataset.id); });
    strip.addEventListener("dblclick", () => this.open());
    root.addEventListener("keydown", event => this.byKey(event));
    find(".stage-picture", root).addEventListener("click", () => this.open());
    find(".stage-grid", root).addEventListener("click", event => {
      const cell = event.target.closest(".cell");
      if (cell) { this.mode = ""; this.pick(cell.dataset.id); find(".stage-picture", root).focus({ preventScroll: true }); }
    });
    find(".older", root).addEventListener("click", more);
    progress.start(root, () => this.followed);
    queue.start(root);
    this.render();
  }
}

const factsOf = all => [`${all.width} × ${all.height}`, interrupted(all), timeTaken(all.time_taken)].filter(Boolean);

function interrupted({ unfinished, infotext }) {
  const [, step, steps] = /Unfinished: step (\d+) of (\d+)/.exec(infotext) ?? [];
  if (!unfinished) return "";
  return step ? `Interrupted at step ${step} of ${steps}` : "Interrupted";
}

function timeTaken(time) {
  if (!time) return "";
  const seconds = time.seconds < 10 ? time.seconds.toFixed(1) : Math.round(time.seconds);
  return time.pictures > 1 ? `${time.pictures} pictures in ${seconds} s` : `Drawn in ${seconds} s`;
}

export const resultsOf = tab => views[tab] ??= new Results(tab);
const all = () => Object.values(views);

on("submitted", ({ tab }) => resultsOf(tab).choose(null));
on("facts", () => all().forEach(view => view.render()));
on("pictures", () => all().forEach(view => view.render()));
on("form", form => { const own = views[form.tab]; if (own?.root && !own.list().length) own.renderExamples(); });
on("live", event => {
  if (event.type === "progress") resultsOf(queue.tabOf(event.job)).live(event);
  if (event.type === "image") all().forEach(one => one.finished(event.job));
  if (event.type === "job" && event.state !== "running") all().forEach(one => one.ended(event.id));
  if (event.type === "queue") for (const one of all())
    for (const job of one.drawing.keys()) if (!event.jobs.some(other => other.id === job && other.state === "running")) one.ended(job);
});
