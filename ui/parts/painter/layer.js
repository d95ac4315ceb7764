// The paint on a picture: RGBA at the picture's resolution. It is kept in an array, because a canvas rounds colours by their alpha and is slow to read.
import { clipped, rect } from "./rect.js";

const TILE = 256;       // pixels of a side: what undo keeps and what is shown anew is counted in tiles

export class Layer {
  constructor(width, height) {
    Object.assign(this, { width, height, across: Math.ceil(width / TILE), down: Math.ceil(height / TILE) });
    this.data = new Uint8ClampedArray(4 * width * height);
    this.words = new Uint32Array(this.data.buffer);
  }

  get tiles() {
    return Array.from({ length: this.across * this.down }, (_, tile) => tile);
  }

  tilesOf({ left, top, right, bottom }) {
    const found = [];
    for (let row = Math.floor(top / TILE); row * TILE < bottom; row++) {
      for (let column = Math.floor(left / TILE); column * TILE < right; column++) found.push(row * this.across + column);
    }
    return found;
  }

  area(tile) {
    const left = (tile % this.across) * TILE, top = Math.floor(tile / this.across) * TILE;
    return clipped(rect(left, top, left + TILE, top + TILE), this.width, this.height);
  }

  read({ left, top, right, bottom }) {
    const across = right - left, words = new Uint32Array(across * (bottom - top));
    for (let y = top; y < bottom; y++) {
      const start = y * this.width + left;
      words.set(this.words.subarray(start, start + across), (y - top) * across);
    }
    return words;
  }

  write({ left, top, right, bottom }, words) {
    const across = right - left;
    for (let y = top; y < bottom; y++) {
      const start = (y - top) * across;
      this.words.set(words.subarray(start, start + across), y * this.width + left);
    }
  }

  // The smallest rectangle with all paint in it, or null.
  bounds() {
    const { words, width } = this;
    let first = 0, last = words.length - 1, left = width, right = 0;
    while (first <= last && !words[first]) first++;
    if (first > last) return null;
    while (!words[last]) last--;
    const top = Math.floor(first / width), bottom = Math.floor(last / width) + 1;
    for (let y = top; y < bottom; y++) {
      const start = y * width;
      for (let x = 0; x < left; x++) if (words[start + x]) left = x;
      for (let x = width - 1; x >= right; x--) if (words[start + x]) right = x + 1;
    }
    return rect(left, top, right, bottom);
  }
}

export function image({ left, top, right, bottom }, words) {
  return new ImageData(new Uint8ClampedArray(words.buffer), right - left, bottom - top);
}
