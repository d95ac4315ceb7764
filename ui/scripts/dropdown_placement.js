// Open lists go down from their field where there is room for them, else to the side that has more of it.
import { find, findAll } from "./dom.js";

const SPACE = 4, ROOMY = 260;       // CSS pixels: around the list; enough to choose from

export function placeLists() {
  for (const list of findAll(".wrap > .options")) place(list, list.closest(".wrap").getBoundingClientRect(), find(".option-list", list).scrollHeight);
}

function place(list, { top, bottom }, height) {
  const bar = Math.max(0, find("#bar").getBoundingClientRect().bottom);
  const below = innerHeight - bottom - 2 * SPACE, above = top - bar - 2 * SPACE;
  const down = below >= Math.min(height, ROOMY) || below >= above;
  const wanted = down ? { top: `${bottom + SPACE}px`, bottom: "auto", maxHeight: `${below}px` }
    : { top: "auto", bottom: `${innerHeight - top + SPACE}px`, maxHeight: `${above}px` };
  for (const [name, value] of Object.entries(wanted)) if (list.style[name] !== value) list.style[name] = value;
}
