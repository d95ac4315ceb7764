// The pictures: the strip of thumbnails, the one shown, its text and what can be done with it. All tabs share one list
// of pictures; each shows those that it made.
import { copy } from "../scripts/clipboard.js";
import { find, findAll, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { examplePrompts, formOf } from "../scripts/form.js";
import { ask } from "../scripts/http.js";
import * as extras from "../tabs/extras/extras.js";
import { hiresFits, submitHires } from "../tabs/txt2img/hires.js";
import { Lightbox } from "./lightbox.js";
import { note, say } from "./notices.js";
import * as picture from "./picture.js";
import * as queue from "./queue.js";

const PAGE = 60;
const infos = new Map(), views = {};
let images = [], complete = false;

const described = image => `${image.prompt || "Picture without a prompt"} (seed ${image.seed})`;
const tabOf = image => image.process === "Extras" ? "extras" : image.init_image ? "img2img" : "txt2img";
const known = id => images.some(image => image.id === id);
const renderAll = () => Object.values(views).forEach(view => view.render());

async function info(image) {
  if (!infos.has(image.id)) infos.set(image.id, ask(`/easel/image/${image.id}/info`).catch(error => { infos.delete(image.id); throw error; }));
  return infos.get(image.id);
}

async function load(before) {
  const answer = await ask(`/easel/images?limit=${PAGE}${before ? `&before=${encodeURIComponent(before)}` : ""}`);
  const fresh = answer.images.filter(image => !known(image.id));
  images = before ? [...images, ...fresh] : [...fresh, ...images];
  complete = answer.images.length < PAGE;
  renderAll();
}

async function add(image) {
  if (known(image.id)) return;
  const whole = await info(image).catch(() => ({}));
  if (known(image.id)) return;
  images.unshift({ ...image, ...whole });
  say(`Picture finished, seed ${image.seed}.`);
  for (const view of Object.values(views)) view.finished(image.job);
  renderAll();
}

function decoded(url) {
  const loader = new Image();
  loader.src = url;
  return loader.decode().catch(() => {});
}

class Results {
  constructor(tab) {
    this.tab = tab;
    this.chosen = null;    // an image id, or null to follow the newest
    this.drawing = null;
    this.tiles = new Map();
  }

  list() { return images.filter(image => tabOf(image) === this.tab); }
  shown() { const own = this.list(); return own.find(image => image.id === this.chosen) ?? own[0]; }
  seed() { return this.shown()?.seed; }
  async request() { return this.shown() && (await info(this.shown())).request; }
  described(image) { return described(image); }

  // A preview of another picture is old news until its number changes.
  preview(live) {
    if (images.some(image => image.job === live.job && image.index === live.index)) return;
    const drawing = this.drawing;
    const next = { job: live.job, index: live.index, stale: drawing?.stale };
    if (drawing && (drawing.job !== live.job || drawing.index !== live.index)) next.stale = drawing.job === live.job ? drawing.count : 0;
    next.count = live.preview;
    next.picture = live.preview && live.preview !== next.stale ? `/easel/preview/${live.job}?n=${live.preview}` : "";
    if (drawing?.picture === next.picture && drawing.job === next.job && drawing.index === next.index) return;
    this.drawing = next;
    this.render();
  }

  finished(job) {
    if (this.drawing?.job === job) this.drawing.picture = "";
  }

  ended(job) {
    if (this.drawing?.job !== job) return;
    this.drawing = null;
    this.render();
  }

  choose(id, focus) {
    this.chosen = id;
    this.render();
    if (focus) find('.strip [aria-selected="true"]', this.root)?.focus();
  }

  render() {
    if (!this.root) return;
    const own = this.list();
    this.renderStage();
    this.renderStrip(own);
    this.renderInfo();
    find(".older", this.root).hidden = complete || !images.length;
  }

  async renderStage() {
    const following = this.chosen === null && this.drawing?.picture;
    const image = this.shown();
    const button = find(".stage-picture", this.root), picture = find("img", button);
    find(".stage-empty", this.root).hidden = Boolean(following || image);
    button.hidden = !(following || image);
    button.classList.toggle("draft", Boolean(following));
    if (button.hidden) return this.renderExamples();
    const url = following ? this.drawing.picture : image.url;
    button.dataset.want = url;
    const label = following ? "Preview of the picture being drawn" : described(image);
    await decoded(url);
    if (button.dataset.want !== url) return;
    if (picture.getAttribute("src") !== url) picture.src = url;
    picture.alt = label;
  }

  renderExamples() {
    const examples = examplePrompts(this.tab);
    find(".examples", this.root).hidden = !examples.length;
    find(".examples ul", this.root).replaceChildren(...examples.map(text => make("li", {},
      make("button", { type: "button", class: "example", onclick: () => formOf(this.tab).apply({ prompt: text }) }, text))));
  }

  renderStrip(own) {
    const strip = find(".strip", this.root);
    const wanted = [...(this.drawing ? [this.tile(null)] : []), ...own.map(image => this.tile(image))];
    strip.hidden = wanted.length < 2;
    const active = strip.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    if (wanted.length !== strip.children.length || wanted.some((one, i) => one !== strip.children[i])) strip.replaceChildren(...wanted);
    const current = this.chosen === null ? (this.drawing ? "live" : own[0]?.id) : this.chosen;
    for (const one of strip.children) {
      one.setAttribute("aria-selected", String(one.dataset.id === current));
      one.tabIndex = one.dataset.id === current ? 0 : -1;
    }
    if (active) find(`[data-id="${CSS.escape(active)}"]`, strip)?.focus({ preventScroll: true });
  }

  tile(image) {
    const id = image?.id ?? "live";
    if (!this.tiles.has(id)) this.tiles.set(id, make("div", { role: "option", class: `tile${image ? "" : " live"}`, "data-id": id },
      make("img", image ? { src: image.thumb ?? `${image.url}/thumb`, loading: "lazy", alt: described(image) } : { alt: "Being drawn" })));
    const made = this.tiles.get(id);
    if (!image) this.liveTile(find("img", made));
    return made;
  }

  liveTile(picture) {
    const url = this.drawing.picture;
    if (url && picture.getAttribute("src") !== url) picture.src = url;
    if (!url) picture.removeAttribute("src");
  }

  async renderInfo() {
    const image = this.chosen === null && this.drawing?.picture ? null : this.shown();
    const text = find(".infotext", this.root);
    find(".picture-acts", this.root).hidden = text.hidden = !image;
    if (!image) return;
    const link = find('[data-act="download"]', this.root);
    link.href = image.url;
    link.download = image.name ?? "";
    if (text.dataset.id === image.id) return;
    text.dataset.id = image.id;
    const hires = find('[data-act="hires"]', this.root);
    hires.hidden = true;
    info(image).then(({ request }) => { if (text.dataset.id === image.id) hires.hidden = !hiresFits(request); }, () => {});
    const fill = told => { if (text.dataset.id === image.id) fillInfo(text, told); };
    try { fill((await info(image)).infotext); } catch (error) { fill(error.message); text.dataset.id = ""; }
  }

  async act(name) {
    const image = this.shown();
    if (name === "open") this.lightbox.open(image);
    if (name === "reuse") formOf(tabOf(image)).reuse((await info(image)).request);
    if (name === "send") await picture.send(image, (await info(image)).request);
    if (name === "inpaint") await picture.send(image, (await info(image)).request, { inpaint: true });
    if (name === "hires") await submitHires((await info(image)).request, this.tab);
    if (name === "extras") await extras.send({ url: image.url, infotext: (await info(image)).infotext, name: image.name });
    if (name === "copy") { await copy((await info(image)).infotext); }
  }

  byKey(event) {
    const order = findAll(".tile", this.root), at = order.indexOf(event.target.closest(".tile"));
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: order.length - 1 }[event.key];
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.act("open"); return; }
    if (to === undefined || !order[to] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.pick(order[to].dataset.id, true);
  }

  pick(id, focus) {
    this.choose(id === "live" || (!this.drawing && id === this.list()[0]?.id) ? null : id, focus);
  }

  // Older pictures come by the page until one is this tab's own.
  async older() {
    const had = this.list().length;
    while (!complete && this.list().length === had) await load(images.at(-1)?.id);
  }

  start(root) {
    this.root = root;
    this.lightbox = new Lightbox(find(".lightbox", root.parentElement), this);
    const strip = find(".strip", root);
    strip.addEventListener("click", event => { const one = event.target.closest(".tile"); if (one) this.pick(one.dataset.id); });
    strip.addEventListener("dblclick", () => this.act("open"));
    strip.addEventListener("keydown", event => this.byKey(event));
    find(".stage-picture", root).addEventListener("click", () => this.act("open"));
    find(".older", root).addEventListener("click", () => this.older().catch(error => note(error.message, 8000)));
    for (const button of findAll("button[data-act]", root)) button.addEventListener("click", () =>
      this.act(button.dataset.act).catch(error => note(error.message, 8000)));
    this.render();
  }
}

export function fillInfo(text, infotext) {
  const [, prompt, negative, settings] = /^([^]*?)(?:(?:^|\n)Negative prompt:([^]*?))?(?:(?:^|\n)(Steps: [^]*))?$/.exec(infotext);
  find(".infotext-prompt", text).textContent = prompt.trim();
  find(".infotext-negative", text).textContent = negative?.trim() ? `Negative prompt: ${negative.trim()}` : "";
  find(".infotext-settings", text).textContent = settings?.trim() ?? "";
}

export const resultsOf = tab => views[tab] ??= new Results(tab);
const all = () => Object.values(views);

on("connected", () => load().catch(() => {}));
on("submitted", ({ tab }) => resultsOf(tab).choose(null));
on("facts", renderAll);
on("form", form => { const own = views[form.tab]; if (own?.root && !own.list().length) own.renderExamples(); });
on("binned", ids => { images = images.filter(image => !ids.includes(image.id)); renderAll(); });
on("restored", () => { images = []; load().catch(() => {}); });
on("live", event => {
  if (event.type === "progress") resultsOf(queue.tabOf(event.job)).preview(event);
  if (event.type === "image") add({ ...event.image, job: event.job });
  if (event.type === "job" && event.state !== "running") all().forEach(one => one.ended(event.id));
  if (event.type === "queue") for (const one of all())
    if (one.drawing && !event.jobs.some(job => job.id === one.drawing.job && job.state === "running")) one.ended(one.drawing.job);
});
