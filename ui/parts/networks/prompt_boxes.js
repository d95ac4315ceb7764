// The prompt boxes of a tab: which of them was used last, and edits in them that the browser's own undo takes back.
import { find, replaceText } from "easel";

export const BOXES = ["prompt", "negative_prompt"];
const last = {};            // by tab
let editing = false;

const area = (tab, box) => find(`#${tab}_${box} textarea`);
export const textOf = (tab, box) => area(tab, box)?.value ?? "";
export const lastUsed = tab => last[tab] ?? BOXES[0];

export function used(textarea) {
  const [, tab, box] = /^([a-z0-9]+)_(prompt|negative_prompt)$/.exec(textarea?.closest?.(".prompt-box .field")?.id ?? "") ?? [];
  if (tab && !editing) last[tab] = box;
}

// The box holds `next` then; the focus and the page stay where they are, and no keyboard comes up on a phone.
export function edit(tab, box, next) {
  const textarea = area(tab, box), text = textarea.value, before = document.activeElement, { scrollX, scrollY } = window;
  let from = 0, rest = 0;
  while (from < Math.min(text.length, next.length) && text[from] === next[from]) from++;
  while (rest < Math.min(text.length, next.length) - from && text.at(-1 - rest) === next.at(-1 - rest)) rest++;
  editing = true;
  textarea.inputMode = "none";
  textarea.focus({ preventScroll: true });
  if (document.activeElement === textarea) replaceText(textarea, from, text.length - rest, next.slice(from, next.length - rest));
  if (textarea.value !== next) {      // behind a dialog it cannot have the focus
    textarea.setRangeText(next, 0, textarea.value.length, "end");
    textarea.dispatchEvent(new Event("input", { bubbles: true }));
  }
  textarea.removeAttribute("inputmode");
  if (before !== textarea) textarea.blur();
  before?.focus?.({ preventScroll: true });
  window.scrollTo({ left: scrollX, top: scrollY, behavior: "instant" });
  editing = false;
}

document.addEventListener("focusin", event => used(event.target));
