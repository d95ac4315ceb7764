// A score against an axis: the mean as a line, and around it a band from the least to the greatest of the cells that lie behind it.
import { shape } from "../../scripts/dom.js";
import { translated } from "../../scripts/translate.js";
import { placeOf } from "./plot.js";

const HIGH = 300, LEFT = 64, RIGHT = 16, TOP = 30, FLAT = 46, SLANTED = 72, ENTRY = 160;     // pixels
const COLOURS = ["#c2573a", "#2f6f9f", "#4b8b3b", "#8a5aa8", "#b08a1e", "#3a9a94", "#b0497a", "#6b6b6b"], DASHES = ["", "7 4", "2 4", "10 3 2 3"];
const LETTERS = 14;
export const MOST_LINES = COLOURS.length;

// For every value of `axis`: mean, least and greatest of the scores; one list per value of `lines` that is `shown`, or one alone.
function series(plot, { kind, axis, lines, shown }) {
  const found = new Map();
  for (const key of plot.cells.keys()) {
    const value = plot.score(key, kind), place = placeOf(key), line = lines === null ? 0 : place[lines];
    if (value === null || lines !== null && !shown.includes(line)) continue;
    if (!found.has(line)) found.set(line, plot.axes[axis].values.map(() => []));
    found.get(line)[place[axis]]?.push(value);
  }
  return [...found].sort(([a], [b]) => a - b).slice(0, MOST_LINES).map(([line, points]) => ({ name: lines === null ? "" : plot.axes[lines].values[line],
    points: points.map((values, at) => ({ at, values })).filter(point => point.values.length).map(({ at, values }) => ({ at, mean: values.reduce((a, b) => a + b, 0) / values.length, low: Math.min(...values), high: Math.max(...values) })) }));
}

const short = text => text.length > LETTERS ? `${text.slice(0, LETTERS - 1)}…` : text;

function ticks(low, high) {
  const raw = (high - low) / 4 || 1, unit = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(one => one * unit).find(one => one >= raw);
  const first = Math.ceil(low / step - 1e-9) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, i) => Number((first + i * step).toPrecision(6)));
}

// `wide`: pixels that there are.
export function drawChart(plot, { kind, label, axis, lines, shown, wide }) {
  const all = series(plot, { kind, axis, lines, shown }), points = all.flatMap(one => one.points), { values } = plot.axes[axis];
  const low = Math.min(...points.map(point => point.low)), high = Math.max(...points.map(point => point.high)), room = high > low ? (high - low) * 0.06 : Math.abs(high) * 0.1 || 1;
  const slanted = values.some(value => value.length > 5), bottom = HIGH - (slanted ? SLANTED : FLAT), keys = lines === null ? [] : legend(all, wide);
  const x = at => LEFT + (values.length > 1 ? at / (values.length - 1) : 0.5) * (wide - LEFT - RIGHT);
  const y = value => TOP + (high + room - value) / (high - low + 2 * room) * (bottom - TOP);
  const says = translated(`${label} against ${plot.axes[axis].label}`);
  const chart = shape("svg", { viewBox: `0 0 ${wide} ${HIGH + (lines === null ? 4 : legendHeight(all, wide))}`, role: "img", "aria-label": says, translate: "no" });
  if (!points.length) return chart;
  chart.append(...grid(ticks(low - room, high + room), y, wide), ...labels(values, { x, y: bottom + 18, slanted, most: Math.floor((wide - LEFT) / 50) }),
    text(LEFT + (wide - LEFT - RIGHT) / 2, HIGH - 8, plot.axes[axis].label, "middle"), text(4, TOP - 14, label, "start"));
  all.forEach((one, i) => chart.append(...line(one, i, x, y)));
  chart.append(...keys);
  return chart;
}

const text = (x, y, words, anchor, more = {}) => shape("text", { x, y, "text-anchor": anchor, ...more }, words);

function grid(at, y, wide) {
  return at.flatMap(value => [shape("line", { class: "chart-grid", x1: LEFT, x2: wide - RIGHT, y1: y(value), y2: y(value) }), text(LEFT - 8, y(value) + 4, String(value), "end")]);
}

// Not more of them than have room.
function labels(values, { x, y, slanted, most }) {
  const every = Math.max(1, Math.ceil(values.length / most));
  return values.flatMap((value, at) => at % every ? [] : [text(x(at), y, short(value), slanted ? "end" : "middle", slanted ? { transform: `rotate(-24 ${x(at)} ${y})` } : {})]);
}

function line({ name, points }, i, x, y) {
  const stroke = COLOURS[i], there = points.map(point => `${x(point.at)},${y(point.high)}`), back = [...points].reverse().map(point => `${x(point.at)},${y(point.low)}`);
  return [shape("polygon", { class: "chart-band", points: [...there, ...back].join(" "), fill: stroke }),
    shape("polyline", { class: "chart-line", points: points.map(point => `${x(point.at)},${y(point.mean)}`).join(" "), stroke, "stroke-dasharray": DASHES[Math.floor(i / 2) % DASHES.length] }),
    ...points.map(point => shape("circle", { cx: x(point.at), cy: y(point.mean), r: 3, fill: stroke }, shape("title", {}, `${name ? `${name}: ` : ""}${point.mean.toPrecision(4)} (${point.low.toPrecision(4)} – ${point.high.toPrecision(4)})`)))];
}

const inRow = wide => Math.max(1, Math.floor((wide - LEFT) / ENTRY));
const legendHeight = (all, wide) => Math.ceil(all.length / inRow(wide)) * 18 + 10;

function legend(all, wide) {
  return all.flatMap(({ name }, i) => {
    const x = LEFT + i % inRow(wide) * ENTRY, y = HIGH + 8 + Math.floor(i / inRow(wide)) * 18;
    return [shape("line", { x1: x, x2: x + 22, y1: y, y2: y, stroke: COLOURS[i], "stroke-width": 3, "stroke-dasharray": DASHES[Math.floor(i / 2) % DASHES.length] }), text(x + 28, y + 4, short(name), "start")];
  });
}
