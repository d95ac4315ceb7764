// The area around a pixel that looks like it.

const NEAR = 36;        // levels by which a colour channel may differ

// Marks the area in `coverage`; `alike` tells by its index whether a pixel belongs to it. With `over` it reaches a pixel
// further on each side, under the smooth edges of what bounds it.
export function flood(width, height, { x, y }, alike, coverage, over) {
  const seen = new Uint8Array(width * height), waiting = [y * width + x];
  while (waiting.length) {
    const at = waiting.pop();
    if (seen[at] || !alike(at)) continue;
    const start = at - at % width;
    let from = at, to = at + 1;
    while (from > start && alike(from - 1)) from--;
    while (to < start + width && alike(to)) to++;
    seen.fill(1, from, to);
    mark(coverage, width, height, from, to, over ? 1 : 0);
    if (start) neighbours(from - width, to - width, alike, seen, waiting);
    if (start + width < width * height) neighbours(from + width, to + width, alike, seen, waiting);
  }
}

function mark(coverage, width, height, from, to, over) {
  const row = Math.floor(from / width), left = Math.max(0, from % width - over), right = Math.min(width, from % width + to - from + over);
  for (let y = Math.max(0, row - over); y <= Math.min(height - 1, row + over); y++) coverage.fill(255, y * width + left, y * width + right);
}

// One pixel of each run of the row beside.
function neighbours(from, to, alike, seen, waiting) {
  let inside = false;
  for (let i = from; i < to; i++) {
    const open = !seen[i] && alike(i);
    if (open && !inside) waiting.push(i);
    inside = open;
  }
}

// Whether a pixel's colour is near that of the pixel `at`.
export function nearColour(words, at) {
  const [red, green, blue] = [0, 8, 16].map(bits => words[at] >> bits & 255);
  return i => {
    const one = words[i];
    return Math.abs((one & 255) - red) <= NEAR && Math.abs((one >> 8 & 255) - green) <= NEAR && Math.abs((one >> 16 & 255) - blue) <= NEAR;
  };
}
