// What a prompt's text tells while it is written: a mark at each bracket without a partner, and words about it and about comments.
import "../vendor/textarea-caret/index.js";
import { find, findAll, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { unmatched } from "./brackets.js";

const BOXES = ".prompt-box textarea";
const LEAST = 6;        // pixels a mark is wide

function look(area) {
  const box = area.closest(".prompt-box"), text = area.value, comments = formOf(find(".field", box).id.replace(/_.*$/, "")).values.prompt_comments !== false;
  const wrong = unmatched(text, comments);
  const layer = find(".bracket-marks", box) ?? box.appendChild(make("div", { class: "bracket-marks", "aria-hidden": "true" }));
  layer.replaceChildren(...wrong.map(at => make("i", { "data-at": at })));
  put(area, layer);
  const told = find(".prompt-told", box) ?? box.appendChild(make("div", { class: "prompt-told", role: "status" }));
  const words = [...wrong.slice(0, 1).map(at => make("button", { type: "button", class: "bracket-told", onclick: () => show(area, at) }, `${text[at]} without a partner`)),
    ...(wrong.length > 1 ? [make("span", {}, `and ${wrong.length - 1} more`)] : []),
    ...(comments && text.includes("#") ? [make("span", { class: "comment-told" }, "What follows a # is a comment, to the end of its line.")] : [])];
  if (told.textContent !== words.map(one => one.textContent).join("")) told.replaceChildren(...words);
}

function put(area, layer) {
  const frame = area.getBoundingClientRect(), around = area.closest(".prompt-box").getBoundingClientRect();
  for (const mark of layer.children) {
    const at = Number(mark.dataset.at), here = window.getCaretCoordinates(area, at), next = window.getCaretCoordinates(area, at + 1);
    const top = here.top - area.scrollTop, width = next.top === here.top ? next.left - here.left : LEAST;
    mark.hidden = top < 0 || top + here.height > area.clientHeight + 2;
    Object.assign(mark.style, { left: `${frame.left - around.left + here.left}px`, top: `${frame.top - around.top + top}px`, width: `${Math.max(LEAST, width)}px`, height: `${here.height}px` });
  }
}

function show(area, at) {
  area.focus();
  area.setSelectionRange(at, at + 1);
}

const again = area => { const layer = find(".bracket-marks", area.closest(".prompt-box")); if (layer?.children.length) put(area, layer); };
const resized = new ResizeObserver(changes => changes.forEach(({ target }) => again(target)));
document.addEventListener("input", event => { if (event.target.matches?.(BOXES)) look(event.target); });
document.addEventListener("scroll", event => { if (event.target.matches?.(BOXES)) again(event.target); }, true);
on("form", ({ tab }) => requestAnimationFrame(() => {
  for (const area of findAll(`[id^="${tab}_"] ${BOXES}, .prompt-box > [id^="${tab}_"] textarea`)) { look(area); resized.observe(area); }
}));
