// Undo and redo: each step keeps the tiles that it changed, as they were before.

const LIMIT = 192 * 2 ** 20;        // bytes of all steps together; the oldest are given up

export class History {
  constructor(layer) {
    Object.assign(this, { layer, undone: [], done: [], bytes: 0 });
  }

  // Sets these tiles to what `next` answers for their areas; the changed ones, an array of [area, words].
  change(tiles, next) {
    const step = new Map(), changed = [];
    for (const tile of tiles) {
      const area = this.layer.area(tile), before = this.layer.read(area), after = next(area);
      if (equal(before, after)) continue;
      step.set(tile, packed(before));
      this.layer.write(area, after);
      changed.push([area, after]);
    }
    if (step.size) this.push(step);
    return changed;
  }

  push(step) {
    this.drop(this.undone.splice(0));
    this.done.push(step);
    this.bytes += weight(step);
    while (this.bytes > LIMIT && this.done.length > 1) this.drop([this.done.shift()]);
  }

  drop(steps) {
    for (const step of steps) this.bytes -= weight(step);
  }

  undo() { return this.turn(this.done, this.undone); }
  redo() { return this.turn(this.undone, this.done); }

  // The step's tiles change places with what stands in the layer.
  turn(from, to) {
    const step = from.pop(), changed = [];
    if (!step) return changed;
    this.bytes -= weight(step);
    for (const [tile, kept] of step) {
      const area = this.layer.area(tile), now = this.layer.read(area), words = unpacked(kept, area);
      step.set(tile, packed(now));
      this.layer.write(area, words);
      changed.push([area, words]);
    }
    to.push(step);
    this.bytes += weight(step);
    return changed;
  }
}

function equal(a, b) {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

// A tile of one colour, an empty one most of all, is kept as one number.
function packed(words) {
  for (let i = 1; i < words.length; i++) if (words[i] !== words[0]) return words;
  return words[0];
}

const unpacked = (kept, { left, top, right, bottom }) => typeof kept === "number" ? new Uint32Array((right - left) * (bottom - top)).fill(kept) : kept;
const weight = step => [...step.values()].reduce((sum, kept) => sum + (kept.byteLength ?? 8), 0);
