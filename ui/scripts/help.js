// What a field means, behind an "i" beside its label.
import { find, make } from "./dom.js";
import { translated } from "./translate.js";

const SPACE = 6;
let opened = null;

const bubble = () => find("#help") ?? document.body.appendChild(make("p", { id: "help", class: "help", popover: "auto", role: "status", ontoggle: toggled }));

export function addHelp(box, label, help) {
  box.append(make("button", { type: "button", class: "why", title: help, "aria-label": `About ${label}`, "aria-expanded": "false", "aria-controls": "help", onclick: asked }));
}

function asked({ currentTarget: button }) {
  const sheet = bubble(), again = opened === button;
  sheet.hidePopover();
  if (again) return;
  opened = button;
  button.setAttribute("aria-expanded", "true");
  sheet.textContent = translated(button.title);
  sheet.showPopover();
  beside(sheet, button.getBoundingClientRect());
}

function beside(sheet, { left, top, bottom }) {
  const { offsetWidth: width, offsetHeight: height } = sheet, { clientWidth, clientHeight } = document.documentElement;
  sheet.style.left = `${Math.max(8, Math.min(left - 12, clientWidth - width - 8))}px`;
  sheet.style.top = `${bottom + SPACE + height < clientHeight ? bottom + SPACE : top - SPACE - height}px`;
}

function toggled({ newState }) {
  if (newState === "open") return;
  opened?.setAttribute("aria-expanded", "false");
  opened = null;
}
