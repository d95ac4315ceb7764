// About the same area in another shape; sides are multiples of 8.
export function shape(width, height, ratio) {
  const area = Math.max(64 * 64, (width || 512) * (height || 512));
  const side = length => Math.max(64, Math.round(length / 8) * 8);
  return [side(Math.sqrt(area * ratio)), side(Math.sqrt(area / ratio))];
}
