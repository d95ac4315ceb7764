// The picture and the paint over it: an array that is painted on, two canvases that show it, and what undo needs.
import { inked, parts, seen, word } from "./blending.js";
import { flood, nearColour } from "./flood.js";
import { History } from "./history.js";
import { image, Layer } from "./layer.js";
import { united } from "./rect.js";
import { Stroke } from "./strokes.js";

export const MASK_COLOUR = [255, 110, 40];         // a mask has one; the style sheet lets the picture shine through
const MASKED = word(MASK_COLOUR);

export class Surface {
  // Contexts of the canvas of the picture and of that of the paint.
  constructor(ground, over) {
    Object.assign(this, { ground, over, layer: new Layer(1, 1), masks: false, stroke: null });
    this.history = new History(this.layer);
  }

  take(picture) {
    const { naturalWidth: width, naturalHeight: height } = picture;
    for (const { canvas } of [this.ground, this.over]) Object.assign(canvas, { width, height });
    this.ground.drawImage(picture, 0, 0);
    this.layer = new Layer(width, height);
    this.coverage = new Uint8Array(width * height);
    this.forget();
  }

  forget() {
    this.history = new History(this.layer);
  }

  // Other paint in place of all that is there; without `layer` none.
  lay(layer) {
    const { width, height } = this.layer, other = new Layer(width, height);
    if (layer) other.words.set(pixels(layer, width, height));
    if (this.masks) other.words.forEach((one, i) => { if (one) other.words[i] = MASKED; });
    return this.change(this.layer.tiles, area => other.read(area));
  }

  // Whether anything has changed.
  change(tiles, next) {
    return this.put(this.history.change(tiles, next));
  }

  put(changed) {
    for (const [area, words] of changed) this.over.putImageData(image(area, words), area.left, area.top);
    return changed.length > 0;
  }

  // ---- strokes: shown while they grow, part of the layer when they end ----

  begin({ edge, ink }) {
    const { width, height } = this.layer;
    Object.assign(this, { stroke: new Stroke(width, height, this.coverage, edge), ink, stale: null, touched: new Set() });
  }

  extend(points) {
    for (const point of points) this.grown(this.stroke.add(point));
  }

  grown(area) {
    if (!area) return;
    if (!this.stale) requestAnimationFrame(() => this.show());
    this.stale = united(this.stale, area);
    for (const tile of this.layer.tilesOf(area)) this.touched.add(tile);
  }

  show() {
    if (this.stroke && this.stale) this.put([[this.stale, inked(this.layer, this.coverage, this.stale, this.ink)]]);
    this.stale = null;
  }

  end() {
    this.grown(this.stroke.end());
    return this.ended(this.change(this.touched, area => inked(this.layer, this.coverage, area, this.ink)));
  }

  cancel() {
    if (!this.stroke) return;
    this.put([...this.touched].map(tile => this.layer.area(tile)).map(area => [area, this.layer.read(area)]));
    this.ended(false);
  }

  ended(changed) {
    const { bounds } = this.stroke;
    for (let y = bounds?.top; y < bounds?.bottom; y++) this.coverage.fill(0, y * this.layer.width + bounds.left, y * this.layer.width + bounds.right);
    this.stroke = this.stale = null;
    return changed;
  }

  // ---- all at once ----

  undo() { return this.put(this.history.undo()); }
  redo() { return this.put(this.history.redo()); }
  clear() { return this.change(this.layer.tiles, area => this.layer.read(area).fill(0)); }
  fillAll() { return this.change(this.layer.tiles, area => this.layer.read(area).fill(MASKED)); }
  invert() { return this.change(this.layer.tiles, area => this.layer.read(area).map(one => one ? 0 : MASKED)); }

  // A mask's outline is filled up to it, a sketch's areas up to another colour of what is seen.
  fill({ x, y }, ink) {
    const point = { x: Math.floor(x), y: Math.floor(y) }, { width, height, words } = this.layer;
    if (!this.has(point)) return false;
    const at = point.y * width + point.x, empty = !words[at];
    const alike = this.masks ? i => !words[i] === empty : nearColour(seen(this.picture(), this.layer), at);
    flood(width, height, point, alike, this.coverage, !this.masks);
    const changed = this.change(this.layer.tiles, area => inked(this.layer, this.coverage, area, ink));
    this.coverage.fill(0);
    return changed;
  }

  has({ x, y }) {
    return x >= 0 && y >= 0 && x < this.layer.width && y < this.layer.height;
  }

  picture() {
    const { width, height } = this.layer;
    return pixels(this.ground.canvas, width, height);
  }

  // The colour that is seen there, as #rrggbb, or null beside the picture.
  colour(point) {
    const x = Math.floor(point.x), y = Math.floor(point.y);
    if (!this.has({ x, y })) return null;
    const layer = new Layer(1, 1);
    layer.words[0] = this.layer.words[y * this.layer.width + x];
    const [red, green, blue] = parts(seen(new Uint32Array(this.ground.getImageData(x, y, 1, 1).data.buffer), layer)[0]);
    return `#${[red, green, blue].map(one => one.toString(16).padStart(2, "0")).join("")}`;
  }

  // All paint, cut out: its corner, and a promise of a PNG. Where there is none, a clear pixel.
  cutOut() {
    const area = this.layer.bounds(), cut = area ? image(area, this.layer.read(area)) : new ImageData(1, 1);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [cut.width, cut.height];
    canvas.getContext("2d").putImageData(cut, 0, 0);
    return { left: area?.left ?? 0, top: area?.top ?? 0, png: new Promise(resolve => canvas.toBlob(resolve)) };
  }
}

function pixels(picture, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
}
