// A menu that opens where it is asked for: by the right button, by the menu key, or below a button.
import { find, findAll, make } from "../scripts/dom.js";

let open = null;    // { menu, before, forget }

// Items are { label, act } with, as wanted, `checked` (true or false), `disabled`, `verbatim` (a person's own words). `at` is an event or an element.
export function openMenu(at, label, items) {
  closeMenu();
  const menu = make("div", { role: "menu", class: "popup-menu", popover: "manual", "aria-label": label }, ...items.map(entry));
  const before = document.activeElement, forget = new AbortController();
  (findAll("dialog:modal").at(-1) ?? find("main") ?? document.body).append(menu);      // inside a landmark
  open = { menu, before, forget };
  menu.showPopover();
  place(menu, at);
  menu.addEventListener("keydown", byKey);
  menu.addEventListener("focusout", event => { if (!menu.contains(event.relatedTarget)) closeMenu(false); });
  document.addEventListener("pointerdown", event => { if (!menu.contains(event.target)) closeMenu(false); }, { capture: true, signal: forget.signal });
  entries(menu)[0]?.focus();
}

function closeMenu(back = true) {
  if (!open) return;
  const { menu, before, forget } = open;
  open = null;
  forget.abort();
  menu.remove();
  if (back && before?.isConnected) before.focus({ preventScroll: true });
}

const entries = menu => findAll("[role^=menuitem]", menu);

function entry({ label, act, checked, disabled = false, verbatim = false }) {
  const box = checked !== undefined;
  return make("button", { type: "button", role: box ? "menuitemcheckbox" : "menuitem", "aria-checked": box ? String(checked) : null, "aria-disabled": disabled ? "true" : null,
    translate: verbatim ? "no" : null, tabindex: -1, onclick: () => { if (!disabled) { closeMenu(); act(); } } }, label);
}

// Below an element, or where the pointer is; always whole.
function place(menu, at) {
  const box = at instanceof Element ? at.getBoundingClientRect() : null, byHand = !box && (at.clientX || at.clientY);
  const target = box ?? (byHand ? { left: at.clientX, bottom: at.clientY } : at.target.getBoundingClientRect());
  const { width, height } = menu.getBoundingClientRect(), page = document.documentElement;
  const wide = Math.min(page.clientWidth, page.getBoundingClientRect().right), high = page.clientHeight;       // without scroll bars and the room kept for them
  menu.style.left = `${Math.max(8, Math.min(target.left, wide - width - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(target.bottom + 2, high - height - 8))}px`;
}

function byKey(event) {
  const all = entries(event.currentTarget), at = all.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
  if (to !== undefined) all[to % all.length].focus();
  else if (["Escape", "Tab"].includes(event.key)) closeMenu();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
