// Lists to choose from, by keyboard as the combobox pattern of WAI-ARIA has them. Gradio's list opens whenever it gets the focus, any key
// opens it again, what is typed is appended, and a choice gives the focus away. So Gradio gets only those events that it shall act on.
import { find, type } from "./dom.js";

const BOX = '.gradio-container input[role="combobox"]';
const MOVES = ["ArrowDown", "ArrowUp", "Home", "End"];
const former = new WeakMap();       // of each list that was opened since it has the focus: the text it had
let passing = false;                // an event of this script is on its way to Gradio
let finger = false;                 // the last pointer was one; its keyboard would cover half of a phone

const isOpen = box => box.getAttribute("aria-expanded") === "true";
const isMultiple = box => Boolean(box.closest(".field-texts"));
const options = box => document.getElementById(box.getAttribute("aria-controls"));
const active = box => document.getElementById(box.getAttribute("aria-activedescendant") ?? "");

function pass(act) {
  passing = true;
  act();
  passing = false;
}

function open(box) {
  if (!former.has(box)) former.set(box, box.value);
  pass(() => box.dispatchEvent(new FocusEvent("focus")));
}

// Gradio filters by a key that says nothing.
function filter(box) {
  pass(() => box.dispatchEvent(new KeyboardEvent("keydown", { key: "Unidentified", bubbles: true })));
}

function restore(box) {
  pass(() => type(box, isMultiple(box) ? "" : former.get(box)));
}

function typed(box) {
  return box.value !== (isMultiple(box) ? "" : former.get(box));
}

function take(box, option) {
  pass(() => option.dispatchEvent(new MouseEvent("mousedown", { bubbles: true, cancelable: true })));
  if (!isMultiple(box)) former.delete(box);
  if (document.activeElement !== box && !finger) stay(box);
}

function stay(box) {
  box.focus({ preventScroll: true });
  setTimeout(() => { if (document.activeElement === box) box.select(); });     // when Gradio has set the text
}

// The list has the focus only for as long as the choice takes.
async function takeNamed(box, name) {
  open(box);
  for (let frames = 0; frames < 60 && !options(box)?.children.length; frames++) await new Promise(requestAnimationFrame);
  const option = [...options(box)?.children ?? []].find(one => one.getAttribute("aria-label") === name);
  pass(() => option ? option.dispatchEvent(new MouseEvent("mousedown", { bubbles: true, cancelable: true })) : box.dispatchEvent(new FocusEvent("blur")));
  former.delete(box);
  return Boolean(option);
}

// Chooses in the bar, as a person would. Throws where the list does not have it.
export async function chooseCheckpoint(title) {
  if (!await takeNamed(find("#checkpoint input"), title)) throw new Error("This checkpoint is not in the list yet; look for new files first.");
}

// ---- events ----

function focused(event) {
  const box = event.target;
  if (passing || !box.matches?.(BOX)) return;
  event.stopPropagation();
  box.select();
}

// A filter that was only begun is no choice; a name that fits nothing in the list is meant as it stands.
function left(event) {
  const box = event.target;
  if (passing || !box.matches?.(BOX)) return;
  if (!former.has(box)) return event.stopPropagation();
  if (typed(box) && (isMultiple(box) || options(box)?.querySelector('[role="option"]'))) restore(box);
  former.delete(box);
}

function pressed(event) {
  const box = event.target;
  if (passing || !box.matches?.(BOX)) return;
  if (keys(box, event)) return;
  event.stopPropagation();
}

// Whether Gradio shall have the key.
function keys(box, event) {
  const { key } = event;
  if (event.ctrlKey || event.metaKey || event.isComposing) return false;
  if (key === "Enter") return entered(box, event);
  if (key === "Tab") return tabbed(box);
  if (key === "Escape" && isOpen(box)) { restore(box); return true; }
  if (key === "Backspace") return isMultiple(box) && !box.value;
  if (!MOVES.includes(key) || !isOpen(box) && !key.startsWith("Arrow")) return false;
  event.preventDefault();
  if (isOpen(box)) return true;
  open(box);
  return false;
}

function entered(box, event) {
  if (event.altKey) return false;
  event.preventDefault();
  if (!isOpen(box)) { open(box); return false; }
  const option = active(box) ?? (typed(box) ? find('[role="option"]', options(box)) : null);
  if (option) { take(box, option); return false; }
  if (!typed(box)) return false;
  former.set(box, box.value);       // a name of one's own
  box.addEventListener("blur", () => setTimeout(() => { if (document.activeElement === document.body) stay(box); }), { once: true });
  return true;
}

function tabbed(box) {
  const option = isOpen(box) && !isMultiple(box) && active(box);
  if (option && option.getAttribute("aria-label") !== former.get(box)) take(box, option);
  options(box)?.setAttribute("tabindex", -1);       // a list that scrolls would be the next stop
  return false;
}

function clicked(event) {
  const box = event.target.matches?.(BOX) ? event.target : null;
  if (!box || box.disabled || isOpen(box)) return;
  open(box);
  box.select();
}

function chosen(event) {
  const option = !passing && event.target.closest?.('[role="listbox"] > [role="option"][data-index]');
  const box = option && find(`${BOX}[aria-controls="${option.parentElement.id}"]`);
  if (!box) return;
  event.preventDefault();
  event.stopPropagation();
  if (event.button === 0) take(box, option);
}

function changing(event) {
  if (!passing && event.target.matches?.(BOX) && !isOpen(event.target)) open(event.target);
}

function changed(event) {
  if (passing || !event.target.matches?.(BOX)) return;
  changing(event);
  filter(event.target);
}

const heard = { focus: focused, blur: left, keydown: pressed, click: clicked, mousedown: chosen, beforeinput: changing, input: changed,
  pointerdown: event => { finger = event.pointerType === "touch"; } };
for (const [name, handle] of Object.entries(heard)) document.addEventListener(name, handle, true);
