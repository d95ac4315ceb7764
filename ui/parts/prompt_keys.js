// Keys in a prompt: words get another weight, (words:1.1), and parts change places.
import { shortcuts } from "../scripts/keys.js";
import { moved } from "./prompt_order.js";

const STEP = 0.1;
const BREAKS = /[\s,.;()[\]<>{}:|]/;

// The innermost bracket around the caret, else the word.
function around(text, caret) {
  let depth = 0, open = -1;
  for (let i = caret - 1; i >= 0 && open < 0; i--) {
    if (text[i - 1] === "\\") continue;
    if (text[i] === ")") depth++;
    else if (text[i] === "(" && depth-- === 0) open = i;
  }
  const inner = open < 0 ? null : /^[^()]*?(?=(:\s*-?[\d.]+\s*)?\))/.exec(text.slice(open + 1));
  if (inner && open + 1 + inner[0].length + (inner[1]?.length ?? 0) >= caret) return [open + 1, open + 1 + inner[0].length];
  let start = caret, end = caret;
  while (start > 0 && !BREAKS.test(text[start - 1])) start--;
  while (end < text.length && !BREAKS.test(text[end])) end++;
  return [start, end];
}

function trimmed(text, start, end) {
  while (start < end && /\s/.test(text[start])) start++;
  while (end > start && /\s/.test(text[end - 1])) end--;
  return [start, end];
}

// What is to be replaced, what stays, and the weight so far.
function weighed(text, start, end) {
  const whole = /^\(([^()]*):\s*(-?[\d.]+)\s*\)$/.exec(text.slice(start, end));
  if (whole) return { from: start, to: end, words: whole[1], weight: parseFloat(whole[2]) };
  const words = text.slice(start, end);
  const tail = text[start - 1] === "(" && text[start - 2] !== "\\" ? /^(?::\s*(-?[\d.]+)\s*)?\)/.exec(text.slice(end)) : null;
  if (tail) return { from: start - 1, to: end + tail[0].length, words, weight: tail[1] ? parseFloat(tail[1]) : 1.1 };
  return { from: start, to: end, words, weight: 1 };
}

function reweigh(area, change) {
  const text = area.value;
  let [start, end] = [area.selectionStart, area.selectionEnd];
  if (start === end) [start, end] = around(text, start);
  [start, end] = trimmed(text, start, end);
  if (start === end) return;
  const { from, to, words, weight } = weighed(text, start, end);
  const next = Math.max(0, Math.round((weight + change) * 100) / 100);
  replaceText(area, from, to, next === 1 ? words : `(${words}:${next})`);
  const first = from + (next === 1 ? 0 : 1);
  area.setSelectionRange(first, first + words.length);
}

// insertText keeps the browser's undo; it is refused where the box is read-only or too old.
export function replaceText(area, from, to, text) {
  area.setSelectionRange(from, to);
  if (document.execCommand("insertText", false, text)) return;
  area.setRangeText(text, from, to, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

// What is selected, or the part at the caret.
function move(area, by) {
  const to = moved(area.value, area.selectionStart, area.selectionEnd, by);
  if (!to) return;
  replaceText(area, to.from, to.to, to.text);
  area.setSelectionRange(to.start, to.end);
}

shortcuts("Prompt", [
  ["Ctrl+ArrowUp", "More weight for what is selected, or for the word at the caret", event => reweigh(event.target, STEP)],
  ["Ctrl+ArrowDown", "Less weight", event => reweigh(event.target, -STEP)],
  ["Alt+ArrowLeft", "Move what is selected, or the part at the caret, before the one on its left", event => move(event.target, -1)],
  ["Alt+ArrowRight", "Move it behind the one on its right", event => move(event.target, 1)],
  ["Tab", "Take the first suggestion, or the one chosen with the arrows"],
], { here: event => event.target.matches?.(".prompt-box textarea"), typing: true });
