// Suggestions while a prompt is typed: a list under the caret. Until something in it is chosen, only Tab, the arrows and
// Escape mean it; Enter and all keys with Ctrl or Alt go on as if it were not there.
import "../vendor/textarea-caret/index.js";
import { make } from "../scripts/dom.js";
import { formOf } from "../scripts/form.js";
import { ask } from "../scripts/http.js";
import { say } from "./notices.js";
import { replaceText } from "./prompt_keys.js";

const BOXES = ".prompt-box textarea, [id$='_hr_prompt'] textarea, [id$='_hr_negative_prompt'] textarea";
const PAUSE = 110, SHORTEST = 2;
const KINDS = { lora: "LoRA", hypernet: "Hypernetwork", embedding: "Embedding", words: "Trigger words", wildcard: "Wildcard", style: "Style" };
const compact = new Intl.NumberFormat("en", { notation: "compact" });
let list = null, area = null, place = null, items = [], active = -1, due = 0, asked = 0;

// What is being typed at the caret: its kind, its text, where it begins.
function typing(box) {
  if (box.selectionStart !== box.selectionEnd) return null;
  const caret = box.selectionStart, before = box.value.slice(0, caret);
  const network = /<([a-z]*)(?::([^:<>\n]*))?$/i.exec(before), kind = network && called(network[1].toLowerCase(), network[2] !== undefined);
  if (kind) return { kind, caret, text: network[2] ?? "", from: network.index, to: caret + (/^[^:<>,\n]*(?::[-\d.]*)?>/.exec(box.value.slice(caret))?.[0].length ?? 0) };
  const marks = before.slice(before.lastIndexOf("\n") + 1).split("__");
  if (marks.length % 2 === 0 && /^[\w ./*?-]*$/.test(marks.at(-1))) {
    const rest = /^[\w./*?-]*__/.exec(box.value.slice(caret))?.[0].length ?? 0;
    return { kind: "wildcard", caret, text: marks.at(-1), from: caret - marks.at(-1).length - 2, to: caret + rest };
  }
  const word = /[^,\n(){}[\]|<>:]*$/.exec(before)[0].trimStart();
  return word.length >= SHORTEST || /[^\x00-\x7f]/.test(word) ? { kind: "word", caret, text: word, from: caret - word.length, to: caret } : null;
}

// The kind of networks that a prompt's word for them means, or will mean when it is written to its end.
function called(word, whole) {
  const tags = { lora: "lora", lyco: "lora", hypernet: "hypernet" };
  return whole ? tags[word] : tags[Object.keys(tags).find(tag => tag.startsWith(word))];
}

async function look(box) {
  const turn = ++asked, what = typing(box);
  if (!what || document.activeElement !== box) return close();
  const answer = await ask(`/easel/complete?kind=${what.kind}&text=${encodeURIComponent(what.text.slice(-100))}`).catch(() => ({ suggestions: [] }));
  if (turn !== asked || document.activeElement !== box) return;
  if (what.kind === "word") what.from = what.to - answer.text?.length;
  if (answer.suggestions.length) open(box, what, answer.suggestions);
  else hide();
}

function open(box, what, found) {
  hide();
  [area, place, items, active] = [box, what, found, -1];
  list = make("ul", { class: "suggestions", id: "suggestions", role: "listbox", "aria-label": "Suggestions" }, ...found.map(option));
  document.body.append(list);
  const says = { role: "combobox", "aria-autocomplete": "list", "aria-haspopup": "listbox", "aria-controls": list.id, "aria-expanded": "true" };
  for (const [name, value] of Object.entries(says)) box.setAttribute(name, value);
  put();
  say(`${found.length} suggestions.`);
}

function option(one, index) {
  const what = make("span", { class: "what" }, one.name);
  const notes = [one.note, one.kind === "words" ? "" : one.words?.join(", ")].filter(Boolean).join(" · ");
  if (notes) what.append(" ", make("span", { class: "note" }, notes));
  const kind = one.count ? compact.format(one.count) : KINDS[one.kind] ?? "";
  const line = make("li", { role: "option", id: `suggestion-${index}`, "aria-selected": "false" }, what, make("span", { class: "kind" }, kind));
  line.addEventListener("pointerdown", event => event.preventDefault());   // the caret stays where it is
  line.addEventListener("click", () => take(index));
  return line;
}

function close() {
  asked++;
  clearTimeout(due);
  hide();
}

// Without the list; letters typed while an answer was on its way are still looked up.
function hide() {
  if (!list) return;
  list.remove();
  for (const name of ["role", "aria-autocomplete", "aria-haspopup", "aria-controls", "aria-expanded", "aria-activedescendant"]) area.removeAttribute(name);
  [list, area, place, items, active] = [null, null, null, [], -1];
}

function choose(index) {
  active = (index + items.length) % items.length;
  list.querySelectorAll("li").forEach((line, i) => line.setAttribute("aria-selected", String(i === active)));
  area.setAttribute("aria-activedescendant", `suggestion-${active}`);
  list.children[active].scrollIntoView({ block: "nearest" });
}

function take(index) {
  const one = items[index], box = area, { from } = place, to = Math.max(from, place.to + box.selectionEnd - place.caret);    // letters may have come since
  close();
  box.focus();
  if (one.kind === "style") addStyle(box, one.name);
  const comma = one.insert && ["tag", "embedding"].includes(one.kind) && !/^\s*[,)\]:}|]/.test(box.value.slice(to)) ? ", " : "";
  replaceText(box, from, to, one.insert + comma);
  clearTimeout(due);
  if (one.words?.length) offer(box, one.words, one.kind === "words" ? ", " : " ");
}

// The trigger words of a network that was just chosen, each of which may follow it.
function offer(box, words, between) {
  const at = box.selectionStart;
  open(box, { caret: at, from: at, to: at }, words.map(name => ({ kind: "words", name, insert: between + name, words: words.filter(other => other !== name) })));
}

function addStyle(box, name) {
  const form = formOf(box.closest(".field").id.replace(/_.*$/, "")), chosen = form.values.styles ?? [];
  // After what is taken out of the box has reached the form.
  setTimeout(() => form.apply({ styles: [...chosen.filter(one => one !== name), name] }), 300);
  say(`Style ${name} chosen.`);
}

// Where the typed word begins, in the window.
function caretAt(box) {
  const { top, left, height } = window.getCaretCoordinates(box, place.from), frame = box.getBoundingClientRect();
  const high = frame.top + top - box.scrollTop;
  return { left: frame.left + left - box.scrollLeft, top: high, bottom: high + height, frame };
}

function put() {
  const caret = caretAt(area), view = window.visualViewport, height = view?.height ?? innerHeight;
  const width = Math.min(document.documentElement.clientWidth, document.body.getBoundingClientRect().width);
  list.style.maxWidth = `${width - 16}px`;
  const low = Math.min(Math.max(caret.bottom, caret.frame.top), caret.frame.bottom), high = Math.max(caret.top, caret.frame.top);
  const below = low + 4 + list.offsetHeight <= height || high - list.offsetHeight - 4 < 0;
  list.style.top = `${below ? low + 4 : high - list.offsetHeight - 4}px`;
  list.style.left = `${Math.max(8, Math.min(caret.left, width - list.offsetWidth - 8))}px`;
}

function keys(event) {
  if (event.isComposing) return;
  const held = event.ctrlKey || event.metaKey || event.altKey;
  if (held && event.key === "Enter") return close();        // it draws: what was asked a moment ago is not shown any more
  if (held || !list || event.target !== area) return;
  const moves = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key === "Enter" && active < 0) return close();
  if (event.key in moves && !event.shiftKey) choose(active < 0 && event.key === "ArrowUp" ? -1 : active + moves[event.key]);
  else if ((event.key === "Tab" || event.key === "Enter") && !event.shiftKey) take(Math.max(0, active));
  else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
  event.stopImmediatePropagation();
}

function follow(event) {
  const box = event.target;
  if (!box.matches?.(BOXES)) return;
  clearTimeout(due);
  // Keyboards of phones compose every word; only where the letters are not yet those that are meant is it too early.
  if (event.isComposing && /[^\x00-\x7f]/.test(event.data ?? "")) return close();
  if (!event.inputType || event.inputType.startsWith("history")) return close();   // filled by a script, or undone
  due = setTimeout(() => look(box), PAUSE);
}

document.addEventListener("keydown", keys, true);
document.addEventListener("input", follow);
document.addEventListener("focusout", event => { if (event.target === area) close(); });
document.addEventListener("pointerdown", event => { if (list && event.target !== area && !list.contains(event.target)) close(); });
document.addEventListener("click", event => { if (event.target === area) close(); });
document.addEventListener("keyup", event => { if (event.target === area && ["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) close(); });
for (const type of ["scroll", "resize"]) window.addEventListener(type, event => { if (list && !list.contains(event.target)) put(); }, true);
