// Where the pictures of two cells differ: the difference of their thumbnails, pixel by pixel, as colours over the cell.
import { make } from "../../scripts/dom.js";

const SIDE = 112;           // pixels of the compared pictures' longer side
const GAIN = 2;             // a difference of half the range is shown as the greatest
const COLOURS = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];     // dark: equal

async function pixels(address, [width, height]) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

function coloured(share, out, at) {
  const place = Math.min(1, share) * (COLOURS.length - 1), low = Math.min(COLOURS.length - 2, Math.floor(place)), part = place - low;
  for (let channel = 0; channel < 3; channel++) out[at + channel] = COLOURS[low][channel] * (1 - part) + COLOURS[low + 1][channel] * part;
  out[at + 3] = 255;
}

// The picture of the differences, and their mean as a share of the whole range.
function compared(a, b, width, height) {
  const map = new ImageData(width, height);
  let sum = 0;
  for (let at = 0; at < a.length; at += 4) {
    const difference = (Math.abs(a[at] - b[at]) + Math.abs(a[at + 1] - b[at + 1]) + Math.abs(a[at + 2] - b[at + 2])) / 765;
    sum += difference;
    coloured(difference * GAIN, map.data, at);
  }
  return { map, mean: sum / (width * height) };
}

export class HeatMap {
  constructor() {
    this.reference = null;
    this.known = new Map();     // by a picture's id
  }

  // All cells are compared with this picture; null ends it.
  against(picture) {
    this.reference = picture;
    this.known.clear();
    if (!picture) return;
    const scale = SIDE / Math.max(picture.width, picture.height);
    this.size = [Math.max(1, Math.round(picture.width * scale)), Math.max(1, Math.round(picture.height * scale))];
    this.own = pixels(picture.thumb, this.size);
  }

  // Laid over a cell's picture.
  async over(tile, picture) {
    const { reference } = this;
    if (!reference || picture.id === reference.id) return;
    const [width, height] = this.size, canvas = make("canvas", { class: "plot-heat", width, height, "aria-hidden": "true" });
    tile.append(canvas);
    const found = await this.found(picture).catch(() => null);
    if (!found || reference !== this.reference) return canvas.remove();
    canvas.getContext("2d").putImageData(found.map, 0, 0);
    canvas.after(make("span", { class: "plot-score", "aria-hidden": "true" }, `${(found.mean * 100).toFixed(1)}%`));
  }

  found(picture) {
    const { size: [width, height] } = this;
    if (!this.known.has(picture.id)) this.known.set(picture.id, Promise.all([this.own, pixels(picture.thumb, this.size)]).then(([a, b]) => compared(a, b, width, height)));
    return this.known.get(picture.id);
  }
}
