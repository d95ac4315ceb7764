// Open lists go down from their field where there is room for them, else to the side that has more of it.
import { find, findAll } from "./dom.js";

const SPACE = 4, ROOMY = 260;       // CSS pixels: around the list; enough to choose from

export function placeLists() {
  for (const list of findAll("ul.options")) {
    const field = list.closest(".wrap, .container")?.getBoundingClientRect(), frame = find(".wrap-inner", list.closest(".wrap") ?? document)?.getBoundingClientRect();
    if (field && frame) place(list, frame);
  }
}

function place(list, { top, bottom }) {
  const bar = find("#bar")?.getBoundingClientRect().bottom ?? 0;
  const below = innerHeight - bottom - 2 * SPACE, above = top - Math.max(0, bar) - 2 * SPACE;
  const down = below >= Math.min(list.scrollHeight, ROOMY) || below >= above;
  const wanted = down ? { top: `${bottom + SPACE}px`, bottom: "auto", maxHeight: `${below}px` }
    : { top: "auto", bottom: `${innerHeight - top + SPACE}px`, maxHeight: `${above}px` };
  for (const [name, value] of Object.entries(wanted)) if (list.style[name] !== value) list.style[name] = value;
}
