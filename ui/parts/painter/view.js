// Which part of the picture the stage shows, and how large: a scale and a shift of the sheet, in CSS pixels of the stage.

const MARGIN = 12;          // CSS pixels around a picture that fits, so that a brush reaches over its edge
const LARGEST = 32;         // CSS pixels of one pixel of the picture
const CRISP = 3;            // from this scale on pixels are shown as squares
const STEADY = 0.001;
const NOTHING = { left: 0, right: 0, up: 0, down: 0 };

export class View {
  // `changed` hears of every other scale or place.
  constructor(stage, sheet, changed) {
    Object.assign(this, { stage, sheet, changed, width: 1, height: 1, scale: 1, x: 0, y: 0, room: { width: 0, height: 0 }, around: NOTHING });
    new ResizeObserver(() => this.resized()).observe(stage);
  }

  take(width, height) {
    Object.assign(this, { width, height });
    Object.assign(this.sheet.style, { width: `${width}px`, height: `${height}px` });
    this.shaped();
  }

  // What is shown beside the picture, in pixels of it: { left, right, up, down }.
  surround(around) {
    this.around = around;
    this.shaped();
  }

  shaped() {
    this.stage.style.setProperty("--shape", this.across / this.down);
    this.measure();
    this.fit();
  }

  get across() { return this.width + this.around.left + this.around.right; }
  get down() { return this.height + this.around.up + this.around.down; }

  measure() {
    this.room = { width: this.stage.clientWidth, height: this.stage.clientHeight };
  }

  resized() {
    const fitted = !this.zoomed, { room } = this, middle = this.at(room.width / 2, room.height / 2);
    this.measure();
    if (fitted || !room.width) return this.fit();
    this.x = this.room.width / 2 - middle.x * this.scale;
    this.y = this.room.height / 2 - middle.y * this.scale;
    this.apply();
  }

  get whole() {
    const { room, across, down } = this;
    return Math.max(0.01, Math.min((room.width - 2 * MARGIN) / across, (room.height - 2 * MARGIN) / down));
  }

  get zoomed() {
    return this.scale > this.whole * (1 + STEADY);
  }

  fit() {
    this.scale = this.whole;
    this.apply();
  }

  // The picture's point under the given point of the window stays there; without one the middle does.
  zoom(factor, clientX, clientY) {
    const frame = this.stage.getBoundingClientRect();
    const x = clientX === undefined ? this.room.width / 2 : clientX - frame.left, y = clientY === undefined ? this.room.height / 2 : clientY - frame.top;
    const point = this.at(x, y);
    this.scale = Math.min(Math.max(LARGEST, this.whole), Math.max(this.whole, this.scale * factor));
    this.x = x - point.x * this.scale;
    this.y = y - point.y * this.scale;
    this.apply();
  }

  // Whether there was anything to move.
  pan(dx, dy) {
    const { x, y } = this;
    this.x += dx;
    this.y += dy;
    this.apply();
    return Math.abs(this.x - x) + Math.abs(this.y - y) > STEADY;
  }

  apply() {
    const left = this.around.left * this.scale, up = this.around.up * this.scale;
    this.x = left + held(this.x - left, this.across * this.scale, this.room.width);
    this.y = up + held(this.y - up, this.down * this.scale, this.room.height);
    this.sheet.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.sheet.style.setProperty("--scale", this.scale);
    this.sheet.classList.toggle("crisp", this.scale * devicePixelRatio >= CRISP);
    this.stage.classList.toggle("zoomed", this.zoomed);
    this.changed();
  }

  at(x, y) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  // Where an event points to, in pixels of the picture.
  point({ clientX, clientY }) {
    const frame = this.stage.getBoundingClientRect();
    return this.at(clientX - frame.left, clientY - frame.top);
  }
}

// A side shorter than the room lies in its middle, a longer one covers it.
function held(start, length, room) {
  if (length <= room - 2 * MARGIN + STEADY) return (room - length) / 2;
  return Math.min(MARGIN, Math.max(room - MARGIN - length, start));
}
