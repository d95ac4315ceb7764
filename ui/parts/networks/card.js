// One card of the grid: a picture, a name, and the button for all about it.
import { find, make } from "easel";
import { pictureOf } from "./details.js";

export function emptyCard() {
  return make("li", { class: "network" },
    make("button", { type: "button", class: "network-card" }, make("span", { class: "network-picture", "aria-hidden": "true" }),
      make("span", { class: "network-name", translate: "no" }), make("span", { class: "network-note" })),
    make("button", { type: "button", class: "network-more", tabindex: -1, title: "Details (I)", "aria-keyshortcuts": "I" }));
}

// `card` may be missing yet; `there` tells whether it is in use.
export function fillCard(item, card, there) {
  const [button, more] = item.children, picture = find(".network-picture", button), note = find(".network-note", button);
  item.classList.toggle("waiting", !card);
  item.classList.toggle("off", Boolean(card?.reason));
  more.hidden = !card;
  if (!card) return clear(button, picture, note);
  button.setAttribute("aria-pressed", String(there));
  button.title = [card.title, card.description].filter(Boolean).join("\n");
  more.setAttribute("aria-label", `Details of ${card.name}`);
  spell(find(".network-name", button), card.name);
  if (card.reason) note.removeAttribute("translate");
  else note.setAttribute("translate", "no");
  note.title = card.reason;
  set(note, whyNot(card) || card.words.join(", "));
  show(picture, card);
}

// In the few words for which there is room.
const whyNot = card => card.reason && (card.broken ? card.reason : `for ${card.family.toUpperCase()}`);

// Another card was here before.
function clear(button, picture, note) {
  button.removeAttribute("aria-pressed");
  button.removeAttribute("title");
  spell(find(".network-name", button), "");
  set(note, note.title = "");
  picture.replaceChildren();
}

// A long name breaks where its words end.
function spell(element, name) {
  if (element.textContent !== name) element.replaceChildren(...name.split(/(?<=[_.\- ])/).flatMap((part, i) => i ? [make("wbr"), part] : [part]));
}

function set(element, text) { if (element.textContent !== text) element.textContent = text; }

function show(place, card) {
  const url = card.picture ? pictureOf(card) : "", image = find("img", place);
  if (!url) return image?.remove();
  if (image?.getAttribute("src") !== url) place.replaceChildren(make("img", { src: url, alt: "", decoding: "async", draggable: "false", onerror: event => event.target.remove() }));
}
