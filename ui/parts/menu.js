// A menu that a button opens. Arrow keys walk through it; Escape or a click elsewhere closes it, and the focus returns to the button.
import { findAll, make } from "../scripts/dom.js";

const EDGE = 8;     // pixels between the menu and the window's edge

// `items` are [name, label]; `chosen` gets the name. The menu is put behind the button.
export function addMenu(button, items, chosen) {
  const menu = make("div", { class: "menu", role: "menu", popover: "auto", "aria-label": button.title },
    ...items.map(([name, label]) => make("button", { type: "button", role: "menuitem", "data-name": name, tabindex: -1 }, label)));
  button.setAttribute("aria-haspopup", "menu");
  button.setAttribute("aria-expanded", "false");
  button.after(menu);
  button.popoverTargetElement = menu;
  menu.addEventListener("toggle", event => toggled(button, menu, event.newState === "open"));
  menu.addEventListener("keydown", event => walk(menu, event));
  menu.addEventListener("click", event => {
    const name = event.target.closest("[data-name]")?.dataset.name;
    if (!name) return;
    menu.hidePopover();
    chosen(name);
  });
  return menu;
}

function toggled(button, menu, open) {
  button.setAttribute("aria-expanded", String(open));
  if (!open) return;
  place(menu, button.getBoundingClientRect());
  findAll('[role="menuitem"]:not([hidden])', menu)[0]?.focus();
}

// Below its button, or above it where there is more room.
function place(menu, { left, top, bottom }) {
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = bottom + height + EDGE <= innerHeight || top < innerHeight - bottom;
  menu.style.left = `${Math.max(EDGE, Math.min(left, innerWidth - width - EDGE))}px`;
  menu.style.top = `${Math.max(EDGE, below ? bottom + 4 : top - height - 4)}px`;
}

function walk(menu, event) {
  const items = findAll('[role="menuitem"]:not([hidden])', menu), at = items.indexOf(document.activeElement);
  const to = { ArrowDown: (at + 1) % items.length, ArrowUp: (at - 1 + items.length) % items.length, Home: 0, End: items.length - 1 }[event.key];
  event.stopPropagation();
  if (event.key === "Tab") menu.hidePopover();
  if (to === undefined) return;
  event.preventDefault();
  items[to].focus();
}
