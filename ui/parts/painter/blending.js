// Colours over colours, in bytes: red, green, blue, alpha, not multiplied by alpha.

const bytes = words => new Uint8ClampedArray(words.buffer, words.byteOffset, 4 * words.length);

export const word = ([red, green, blue, alpha = 255]) => new Uint32Array(new Uint8Array([red, green, blue, alpha]).buffer)[0];
export const parts = one => [...new Uint8Array(new Uint32Array([one]).buffer)];

// What stands in a rectangle of the layer after the ink { colour, opacity, erases } has come where the coverage says.
export function inked(layer, coverage, area, { colour, opacity = 1, erases = false }) {
  const words = layer.read(area), data = bytes(words), full = erases ? 0 : word(colour);
  let i = 0;
  for (let y = area.top; y < area.bottom; y++) {
    const end = y * layer.width + area.right;
    for (let at = y * layer.width + area.left; at < end; at++, i++) {
      const share = opacity * coverage[at];
      if (!share) continue;
      if (share >= 255) words[i] = full;
      else if (erases) erase(data, 4 * i, share / 255);
      else cover(data, 4 * i, colour, share / 255);
    }
  }
  return words;
}

function cover(data, at, colour, share) {
  const below = data[at + 3] / 255 * (1 - share), alpha = share + below;
  for (let c = 0; c < 3; c++) data[at + c] = (colour[c] * share + data[at + c] * below) / alpha;
  data[at + 3] = 255 * alpha;
  emptied(data, at);
}

function erase(data, at, share) {
  data[at + 3] *= 1 - share;
  emptied(data, at);
}

// What cannot be seen has no colour either, so that it counts as no paint.
function emptied(data, at) {
  if (!data[at + 3]) data[at] = data[at + 1] = data[at + 2] = 0;
}

// A picture's colours with the layer over them; all opaque.
export function seen(ground, layer) {
  const result = ground.slice(), data = bytes(result), { words } = layer;
  for (let i = 0; i < words.length; i++) {
    const alpha = layer.data[4 * i + 3];
    if (alpha === 255) result[i] = words[i];
    else if (alpha) cover(data, 4 * i, layer.data.subarray(4 * i, 4 * i + 3), alpha / 255);
  }
  return result;
}
