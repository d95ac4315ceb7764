// What was just done or did not work, in a few words at the foot of the page: read aloud, gone by itself, taken back where that can be.
import { findAll, make } from "../scripts/dom.js";

const SHOWN = 5000, OFFERED = 10000, MOST = 3;     // ms without and with an undo; how many at once
const voice = make("p", { id: "say", class: "unseen", role: "status", "aria-live": "polite" });
const list = make("div", { id: "toasts", role: "region", "aria-label": "Messages" });
const layer = make("div", {}, voice, list);
let toasts = [], held = false, before = null;

// A modal dialog makes everything else inert, so words and buttons go into the uppermost one.
function settle() {
  const host = findAll("dialog:modal").at(-1) ?? document.body;
  if (layer.parentElement !== host) host.append(layer);
}

// For screen readers alone: what the eye sees anyway.
export function say(text) {
  settle();
  voice.textContent = text;
}

// Shows a text and says it; `undo` is called when the person takes the deed back, `link` is [words, address] of what it tells of.
// What it returns can `close` it early.
export function toast(text, { undo = null, link = null, milliseconds = undo || link ? OFFERED : SHOWN } = {}) {
  toasts.filter(other => other.text === text && !other.undo).forEach(close);
  const one = { text, undo, milliseconds };
  one.element = make("div", { class: "toast" }, make("p", {}, text),
    ...(undo ? [make("button", { type: "button", class: "act", "aria-keyshortcuts": "Control+Z", onclick: () => take(one) }, "Undo")] : []),
    ...(link ? [make("a", { class: "act", href: link[1], onclick: () => close(one) }, link[0])] : []),
    make("button", { type: "button", class: "toast-close", "aria-label": "Dismiss", title: "Dismiss", onclick: () => close(one) }, "×"));
  toasts.push(one);
  document.documentElement.classList.add("toasted");
  toasts.slice(0, -MOST).forEach(close);
  say(text);
  list.append(one.element);
  wait(one);
  return { close: () => close(one) };
}

function wait(one) {
  clearTimeout(one.timer);
  if (!held) one.timer = setTimeout(() => close(one), one.milliseconds);
}

function close(one) {
  clearTimeout(one.timer);
  toasts = toasts.filter(other => other !== one);
  const focused = one.element.contains(document.activeElement);
  one.element.remove();
  document.documentElement.classList.toggle("toasted", toasts.length > 0);
  if (!toasts.length) held = false;
  if (focused && before?.isConnected) before.focus({ preventScroll: true });
}

function take(one) {
  close(one);
  one.undo();
}

function hold(on) {
  held = on;
  toasts.forEach(one => on ? clearTimeout(one.timer) : wait(one));
}

list.addEventListener("pointerenter", () => hold(true));
list.addEventListener("pointerleave", () => hold(list.contains(document.activeElement)));
list.addEventListener("focusin", event => {
  if (!list.contains(event.relatedTarget)) before = event.relatedTarget;
  hold(true);
});
list.addEventListener("focusout", event => { if (!list.contains(event.relatedTarget)) hold(false); });
document.addEventListener("close", settle, true);
settle();      // a screen reader hears only what is new in a place that it knew before
document.addEventListener("keydown", event => {
  const typing = event.target.matches?.("textarea, input:not([type=checkbox], [type=range])");
  const one = toasts.findLast(other => other.undo);
  if (!one || typing || event.defaultPrevented || event.key.toLowerCase() !== "z" || event.shiftKey || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  take(one);
});
