// A picture and what is painted over it, with tools, view and keys. It knows nothing of forms and servers.
import { showKeys } from "../../scripts/keys.js";
import { Gestures } from "./gestures.js";
import { listen, TITLE } from "./keys.js";
import { Surface } from "./surface.js";
import { MASK, PAINT, Tools } from "./tools.js";
import { View } from "./view.js";

const LEAST = 0.05;         // share of the size that a pen draws with when it hardly touches
const CLOSER = 1.25;
const STROKES = ["brush", "eraser"];
const ERASING_END = 32;     // of a pen, among `buttons`

export class Painter {
  // `place` holds the markup of painter.html, `memory` keeps a person's tools. `ended` hears of every finished change by
  // hand, `leaving` when something else is about to be shown.
  constructor(place, { memory, ended, leaving }) {
    Object.assign(this, { place, ended, leaving, root: place.querySelector(".painter"), kind: "", picture: "", turn: 0, pointer: null, began: null });
    this.stage = this.part("stage");
    const [ground, over] = [...this.root.querySelectorAll("canvas")].map(canvas => canvas.getContext("2d"));
    this.surface = new Surface(ground, over);
    this.tools = new Tools(this.root, memory, () => this.outline());
    this.view = new View(this.stage, this.part("sheet"), () => this.outline());
    this.gestures = new Gestures(this.stage, this.view, this);
    this.wire();
  }

  part(name) {
    return this.place.querySelector(`.painter-${name}`);
  }

  // A picture and over it a layer, by their addresses; `kind` is what painting makes: MASK, PAINT, or "" for nothing.
  // Another layer on the same picture can be undone. Raises what loading raises.
  async show(picture, layer, kind) {
    const turn = ++this.turn, fresh = picture !== this.picture || kind !== this.kind;
    const [ground, paint] = await Promise.all([picture === this.picture ? null : opened(picture), layer ? opened(layer) : null]);
    if (turn !== this.turn) return;
    this.leaving();
    this.cancel();
    if (ground) this.surface.take(ground);
    Object.assign(this, { picture, kind });
    this.surface.masks = kind === MASK;
    this.surface.lay(paint);
    if (fresh) this.surface.forget();
    this.root.dataset.kind = kind;
    const { width, height } = this.surface.layer;
    this.tools.take(kind, width, height);
    if (ground) this.view.take(width, height);
    this.counted();
  }

  // Shows a frame around the picture, in pixels of it: what will be drawn at its sides.
  surround(around) {
    const frame = this.part("frame"), sides = { left: around.left, right: around.right, top: around.up, bottom: around.down };
    frame.hidden = !Object.values(sides).some(Boolean);
    for (const [side, pixels] of Object.entries(sides)) frame.style[side] = `${-pixels}px`;
    this.view.surround(around);
  }

  // Ends a stroke that is under way.
  finish() {
    if (this.surface.stroke) this.end();
  }

  cutOut() {
    return this.surface.cutOut();
  }

  // ---- what gestures ask and do ----

  get paints() { return this.kind !== ""; }
  get moves() { return this.tools.tool === "move"; }
  get full() { return this.part("full").open; }

  begin(event) {
    this.began = event;
    if (this.tool(event) !== "stroke") return;
    this.surface.begin(this.tools.brush(this.tools.tool === "eraser" || Boolean(event.buttons & ERASING_END)));
    this.move(event);
  }

  tool(event) {
    if (event.altKey && this.kind === PAINT) return "pick";
    return STROKES.includes(this.tools.tool) ? "stroke" : this.tools.tool;
  }

  move(event) {
    const events = event.getCoalescedEvents?.() ?? [];
    if (this.surface.stroke) this.surface.extend((events.length ? events : [event]).map(one => this.touch(one)));
  }

  touch(event) {
    const share = event.pointerType === "pen" ? Math.max(LEAST, event.pressure) : 1;
    return { ...this.view.point(event), radius: this.tools.size / 2 * share };
  }

  end() {
    const { began, surface } = this;
    this.began = null;
    if (surface.stroke) this.done(surface.end());
    else if (began && this.tool(began) === "fill") this.done(surface.fill(this.view.point(began), this.tools.brush(false).ink));
    else if (began && this.tool(began) === "pick") this.take(surface.colour(this.view.point(began)));
  }

  cancel() {
    this.began = null;
    this.surface.cancel();
  }

  take(colour) {
    if (!colour) return;
    this.tools.choose({ colour });
    this.tools.pick("brush");
  }

  done(changed) {
    this.counted();
    if (changed) this.ended();
  }

  counted() {
    const { done, undone } = this.surface.history;
    this.part("undo").disabled = !done.length;
    this.part("redo").disabled = !undone.length;
  }

  // ---- what buttons and keys do ----

  act(name) {
    if (!this.paints || this.surface.stroke) return false;
    this.done(this.surface[name]());
  }

  undo() { return this.surface.history.done.length > 0 && this.act("undo"); }
  redo() { return this.surface.history.undone.length > 0 && this.act("redo"); }
  clear() { return this.act("clear"); }
  fillAll() { return this.act("fillAll"); }
  invert() { return this.act("invert"); }
  fit() { this.view.fit(); }
  closer() { this.view.zoom(CLOSER); }
  farther() { this.view.zoom(1 / CLOSER); }
  zoom(factor) { this.view.zoom(factor, this.pointer?.clientX, this.pointer?.clientY); }
  pan(dx, dy) { return this.view.zoomed && this.view.pan(dx, dy); }
  help() { showKeys(TITLE); }

  pick(tool) {
    if (!this.paints || tool === "pick" && this.kind !== PAINT) return false;
    this.tools.pick(tool);
  }

  resize(factor) {
    if (!this.paints) return false;
    this.tools.resize(factor);
  }

  // While a key is held the pointer moves the picture.
  hold(held) {
    if (held && !this.view.zoomed) return false;
    this.gestures.holding = held;
    this.stage.classList.toggle("holding", held);
    this.outline();
  }

  fullScreen() {
    const room = this.part("full");
    if (room.open) return room.close();
    room.append(this.root);
    room.showModal();
    this.stage.focus();
  }

  // ---- wiring ----

  wire() {
    this.place.addEventListener("click", event => {
      const name = event.target.closest("[data-do]")?.dataset.do;
      if (name) this[name]();
    });
    this.part("full").addEventListener("close", () => {
      this.place.prepend(this.root);
      this.stage.focus({ preventScroll: true });
    });
    for (const type of ["pointermove", "pointerdown"]) this.stage.addEventListener(type, event => this.outline(event));
    for (const type of ["pointerleave", "pointercancel"]) this.stage.addEventListener(type, () => this.outline(null));
    listen(this);
  }

  attended() {
    if (!this.stage.checkVisibility() || document.querySelector("dialog:modal:not(.painter-full)")) return false;
    return Boolean(this.pointer) || this.root.contains(document.activeElement);
  }

  // The ring shows what the brush would cover.
  outline(pointer = this.pointer) {
    this.pointer = pointer;
    if (!this.view) return;
    const ring = this.part("ring"), drawing = this.paints && !this.gestures.holding && STROKES.includes(this.tools.tool);
    this.stage.dataset.cursor = !this.paints || this.gestures.holding ? "move" : this.tools.tool;
    this.part("scale").textContent = `${Math.round(100 * this.view.scale)} %`;
    ring.hidden = !pointer || !drawing;
    if (ring.hidden) return;
    const frame = this.stage.getBoundingClientRect(), size = Math.max(3, this.tools.size * this.view.scale);
    Object.assign(ring.style, { width: `${size}px`, height: `${size}px`, transform: `translate(${pointer.clientX - frame.left - size / 2}px, ${pointer.clientY - frame.top - size / 2}px)` });
  }
}

async function opened(address) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  return picture;
}
