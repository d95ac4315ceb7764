// Mouse, pen, fingers and wheel on the stage: one paints, two fingers zoom and move, the wheel scrolls, zooms or sets the size.

const ZOOM = 0.0016, LINE = 16, PAGE = 400;     // of a turn of the wheel; what a line and a page of it are in pixels
const SIZE = 0.0012;

export class Gestures {
  // `acts` paints: begin(event), move(event), end(), cancel(), resize(factor); it tells with `paints` whether there is anything to paint,
  // with `moves` whether the hand is the tool, and with `full` whether the stage fills the window.
  constructor(stage, view, acts) {
    Object.assign(this, { stage, view, acts, fingers: new Map(), action: "", active: null, holding: false, control: false });
    const heard = { pointerdown: this.down, pointermove: this.move, pointerup: this.up, pointercancel: this.lost, lostpointercapture: this.lost };
    for (const [type, handle] of Object.entries(heard)) stage.addEventListener(type, event => handle.call(this, event));
    stage.addEventListener("wheel", event => this.wheel(event), { passive: false });
    stage.addEventListener("contextmenu", event => { if (event.pointerType === "touch" || event.pointerType === "pen") event.preventDefault(); });
    for (const type of ["keydown", "keyup"]) addEventListener(type, event => { if (event.key === "Control") this.control = type === "keydown"; }, true);
    addEventListener("blur", () => { this.control = false; });
  }

  down(event) {
    if (event.pointerType === "touch") {
      if (this.action === "stroke" && this.active.pointerType === "pen") return;      // a hand resting beside the pen
      this.fingers.set(event.pointerId, event);
      if (this.fingers.size === 2) return this.pinch();
    }
    if (this.action) return;
    const pans = event.button === 1 || this.holding || this.acts.moves || !this.acts.paints;
    if (event.button > 1 && !(event.pointerType === "pen" && event.button === 5)) return;
    if (pans && !this.view.zoomed && event.button !== 1) return;
    this.start(pans ? "pan" : "stroke", event);
  }

  start(action, event) {
    Object.assign(this, { action, active: event });
    this.stage.setPointerCapture(event.pointerId);
    this.stage.classList.toggle("panning", action === "pan");
    event.preventDefault();
    this.stage.focus({ preventScroll: true });
    if (action === "stroke") this.acts.begin(event);
  }

  move(event) {
    const former = this.fingers.get(event.pointerId);
    if (this.action === "pinch" && former) return this.pinched(event);
    if (former) this.fingers.set(event.pointerId, event);
    if (event.pointerId !== this.active?.pointerId) return;
    if (this.action === "stroke") this.acts.move(event);
    if (this.action === "pan") this.view.pan(event.clientX - this.active.clientX, event.clientY - this.active.clientY);
    this.active = event;
  }

  up(event) {
    if (this.action === "stroke" && event.pointerId === this.active.pointerId) this.acts.end(event);
    this.leave(event);
  }

  lost(event) {
    if (this.action === "stroke" && event.pointerId === this.active.pointerId) this.acts.cancel();
    this.leave(event);
  }

  leave(event) {
    this.fingers.delete(event.pointerId);
    if (this.action === "pinch" ? this.fingers.size : event.pointerId !== this.active?.pointerId) return;
    Object.assign(this, { action: "", active: null });
    this.stage.classList.remove("panning");
  }

  // The second finger takes back what the first has begun.
  pinch() {
    if (this.action === "stroke") this.acts.cancel();
    Object.assign(this, { action: "pinch", active: null });
    for (const id of this.fingers.keys()) this.stage.setPointerCapture(id);
  }

  pinched(event) {
    const before = span([...this.fingers.values()]);
    this.fingers.set(event.pointerId, event);
    const after = span([...this.fingers.values()]);
    if (!before || !after) return;
    this.view.pan(after.x - before.x, after.y - before.y);
    this.view.zoom(after.length / before.length, after.x, after.y);
  }

  // Alt or Shift zooms, Ctrl sets the size, as in AUTOMATIC1111; two fingers on a touchpad zoom. The wheel alone moves a picture
  // that is larger than the stage, up to its edge, and else the page.
  wheel(event) {
    const unit = [1, LINE, PAGE][event.deltaMode], dx = event.deltaX * unit, dy = event.deltaY * unit, turn = dy || dx;
    const touchpad = event.ctrlKey && !this.control;
    if (event.ctrlKey && !touchpad && this.acts.paints) this.acts.resize(Math.exp(-turn * SIZE));
    else if (event.altKey || event.shiftKey || touchpad || this.acts.full) this.view.zoom(Math.exp(-turn * ZOOM * (touchpad ? 6 : 1)), event.clientX, event.clientY);
    else if (event.ctrlKey || !this.view.zoomed || !this.view.pan(-dx, -dy)) return;
    event.preventDefault();
  }
}

function span([a, b]) {
  const length = b && Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  return length ? { x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2, length } : null;
}
