// How a brush covers pixels. A stroke is a chain of segments between two discs; each pixel keeps the most that any of them
// covers of it, so that a stroke crossing itself is no darker there.
import { clipped, rect, united } from "./rect.js";

export const WHOLE = "whole", SMOOTH = "smooth", SOFT = "soft";     // edges: whole pixels only, a smooth line, fading from the middle
const SPACING = 0.05;       // of the radius: points closer together change nothing that can be seen
const SMALLEST = 0.75;      // radius; a disc of this size meets the middle of at least one pixel wherever it lies

export class Stroke {
  // `coverage` has a byte per pixel of a sheet of this size, all 0.
  constructor(width, height, coverage, edge) {
    Object.assign(this, { width, height, coverage, edge, bounds: null, last: null, skipped: null });
  }

  // The brush moves to a point { x, y, radius } in pixels; answers what this covers anew, or null.
  add(point) {
    const to = { ...point, radius: Math.max(SMALLEST, point.radius) }, from = this.last ?? to;
    const way = Math.hypot(to.x - from.x, to.y - from.y);
    if (this.last && way < Math.max(0.25, SPACING * to.radius)) {
      this.skipped = to;
      return null;
    }
    return this.cover(from, to);
  }

  end() {
    return this.skipped && this.cover(this.last, this.skipped);
  }

  cover(from, to) {
    this.last = to;
    this.skipped = null;
    const reach = Math.max(from.radius, to.radius) + 1;
    const area = clipped(rect(Math.min(from.x, to.x) - reach, Math.min(from.y, to.y) - reach, Math.max(from.x, to.x) + reach, Math.max(from.y, to.y) + reach), this.width, this.height);
    if (!area) return null;
    const segment = new Segment(from, to);
    for (let y = area.top; y < area.bottom; y++) this.row(segment, y, area);
    this.bounds = united(this.bounds, area);
    return area;
  }

  row(segment, y, area) {
    const start = y * this.width, whole = pixels(segment.across(y + 0.5, this.within()), area);
    if (whole) this.coverage.fill(255, start + whole[0], start + whole[1]);
    const outer = this.edge !== WHOLE && pixels(segment.across(y + 0.5, 0.5), area);
    if (!outer) return;
    this.rim(segment, y, outer[0], whole ? whole[0] : outer[1]);
    if (whole) this.rim(segment, y, whole[1], outer[1]);
  }

  // How much wider or narrower than the brush the part is that is covered wholly.
  within() {
    return { [WHOLE]: 0, [SMOOTH]: -0.5, [SOFT]: -Infinity }[this.edge];
  }

  rim(segment, y, from, to) {
    const { coverage, edge } = this, start = y * this.width;
    for (let x = from; x < to; x++) {
      const depth = segment.depth(x + 0.5, y + 0.5);
      const share = Math.round(255 * (edge === SOFT ? faded(depth / segment.widest) : Math.min(1, Math.max(0, depth + 0.5))));
      if (share > coverage[start + x]) coverage[start + x] = share;
    }
  }
}

const faded = depth => { const share = Math.min(1, Math.max(0, depth)); return share * share * (3 - 2 * share); };

// The pixels whose middles lie in an interval, as far as they lie in the area.
function pixels(interval, { left, right }) {
  if (!interval) return null;
  const from = Math.max(left, Math.ceil(interval[0] - 0.5)), to = Math.min(right, Math.floor(interval[1] - 0.5) + 1);
  return from < to ? [from, to] : null;
}

// All that a disc covers on a straight way while its radius changes evenly: the hull of two discs.
class Segment {
  constructor(from, to) {
    const [dx, dy] = [to.x - from.x, to.y - from.y], length = Math.hypot(dx, dy), narrowing = from.radius - to.radius;
    Object.assign(this, { from, to, length, widest: Math.max(from.radius, to.radius) });
    this.apart = length > Math.abs(narrowing) + 1e-6;       // else one disc lies in the other
    if (!this.apart) return;
    this.direction = [dx / length, dy / length];
    this.slope = narrowing / length;                        // sine of the angle between the way and the tangents
    this.level = Math.sqrt(1 - this.slope ** 2);
  }

  // Where the line at this height crosses the hull, grown on all sides, as [left, right], or null.
  across(y, grown) {
    const radii = [this.from.radius + grown, this.to.radius + grown], crossed = [];
    if (Math.max(...radii) <= 0) return null;
    [this.from, this.to].forEach((disc, i) => {
      const half = radii[i] > 0 ? radii[i] ** 2 - (y - disc.y) ** 2 : -1;
      if (half >= 0) crossed.push(disc.x - Math.sqrt(half), disc.x + Math.sqrt(half));
    });
    for (const side of this.apart ? [1, -1] : []) this.tangent(side, radii, y, crossed);
    return crossed.length ? [Math.min(...crossed), Math.max(...crossed)] : null;
  }

  tangent(side, radii, y, crossed) {
    const [ux, uy] = this.direction, { slope, level } = this;
    const [nx, ny] = [ux * slope - side * uy * level, uy * slope + side * ux * level];
    const [x0, y0] = [this.from.x + radii[0] * nx, this.from.y + radii[0] * ny], [x1, y1] = [this.to.x + radii[1] * nx, this.to.y + radii[1] * ny];
    if (y0 === y1 || y < Math.min(y0, y1) || y > Math.max(y0, y1)) return;
    crossed.push(x0 + (x1 - x0) * (y - y0) / (y1 - y0));
  }

  // How deep a point lies in the hull; below 0 outside.
  depth(x, y) {
    const { from, to } = this, dx = x - from.x, dy = y - from.y;
    if (!this.apart) return Math.max(from.radius - Math.hypot(dx, dy), to.radius - Math.hypot(x - to.x, y - to.y));
    const [ux, uy] = this.direction, along = dx * ux + dy * uy, aside = Math.abs(dy * ux - dx * uy);
    const share = along * this.level - aside * this.slope;
    if (share < 0) return from.radius - Math.hypot(dx, dy);
    if (share > this.level * this.length) return to.radius - Math.hypot(x - to.x, y - to.y);
    return from.radius - aside * this.level - along * this.slope;
  }
}
