// Rectangles of whole pixels: `right` and `bottom` lie just outside.
export const rect = (left, top, right, bottom) => ({ left, top, right, bottom });

export function united(a, b) {
  if (!a || !b) return a ?? b;
  return rect(Math.min(a.left, b.left), Math.min(a.top, b.top), Math.max(a.right, b.right), Math.max(a.bottom, b.bottom));
}

// The part of it on a sheet of this size, or null.
export function clipped({ left, top, right, bottom }, width, height) {
  const inside = rect(Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top)), Math.min(width, Math.ceil(right)), Math.min(height, Math.ceil(bottom)));
  return inside.left < inside.right && inside.top < inside.bottom ? inside : null;
}
