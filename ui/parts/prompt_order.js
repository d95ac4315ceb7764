// The parts of a prompt change places: those between commas and line ends, inside the brackets that the caret is in.

const OPENS = "([{<", CLOSES = ")]}>";
const escaped = (text, at) => text[at - 1] === "\\" && text[at - 2] !== "\\";
const opens = (text, at) => OPENS.includes(text[at]) && !escaped(text, at);
const closes = (text, at) => CLOSES.includes(text[at]) && !escaped(text, at);

// The inside of the innermost brackets around a selection, without a weight at its end.
function group(text, start, end) {
  let from = start, to = end, depth = 0;
  for (; from > 0 && !(opens(text, from - 1) && depth === 0); from--) depth += closes(text, from - 1) ? 1 : opens(text, from - 1) ? -1 : 0;
  for (depth = 0; to < text.length && !(closes(text, to) && depth === 0); to++) depth += opens(text, to) ? 1 : closes(text, to) ? -1 : 0;
  const weight = to < text.length && /:\s*-?[\d.]+\s*$/.exec(text.slice(from, to));
  return [from, weight && from + weight.index >= end ? from + weight.index : to];
}

// [start, end] of each part, white space at its ends left out.
function parts(text, from, to) {
  const found = [];
  let start = from, depth = 0;
  for (let i = from; i <= to; i++) {
    if (i < to && opens(text, i)) depth++;
    if (i < to && closes(text, i)) depth--;
    if (i < to && (depth !== 0 || !",\n".includes(text[i]))) continue;
    const part = text.slice(start, i);
    if (part.trim()) found.push([start + part.search(/\S/), start + part.trimEnd().length]);
    start = i + 1;
  }
  return found;
}

// What replaces which stretch of the text when the selected parts go one place on (`by` 1) or back (-1), and the selection
// then: { from, to, text, start, end }. Null where there is no further place.
export function moved(text, start, end, by) {
  const all = parts(text, ...group(text, start, end));
  const first = all.findIndex(([, last]) => last >= start), last = all.findLastIndex(([begin]) => begin <= Math.max(start, end - 1));
  const other = all[by < 0 ? first - 1 : last + 1];
  if (first < 0 || last < first || !other) return null;
  const own = [all[first][0], all[last][1]], [left, right] = by < 0 ? [other, own] : [own, other];
  const between = text.slice(left[1], right[0]), swapped = text.slice(...right) + between + text.slice(...left);
  const at = by < 0 ? left[0] : right[1] - (own[1] - own[0]);
  const shift = at - own[0], held = (position, least, most) => Math.min(most, Math.max(least, position + shift));
  const stop = at + own[1] - own[0];
  return { from: left[0], to: right[1], text: swapped, start: held(start, at, stop), end: held(end, at, stop) };
}
