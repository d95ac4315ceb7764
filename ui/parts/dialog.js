// A dialog over the page, with a title and a button that closes it; it is gone from the page when it is closed.
import { make } from "../scripts/dom.js";

let made = 0;

// Shows it at once and answers with it. `look` is a class of its own; a click beside it closes it, too.
export function openSheet(title, look, ...content) {
  const id = `sheet-title-${made++}`;
  const sheet = make("dialog", { class: `sheet ${look}`, "aria-labelledby": id },
    make("header", {}, make("h2", { id }, title), make("button", { type: "button", class: "act", onclick: () => sheet.close() }, "Close")), ...content);
  sheet.addEventListener("close", () => sheet.remove());
  sheet.addEventListener("pointerdown", event => { if (event.target === sheet && beside(sheet, event)) sheet.close(); });
  document.body.append(sheet);
  sheet.showModal();
  return sheet;
}

// Asks before something that cannot be taken back: whether it shall be done. `act` is the word for it.
export function sure(question, act) {
  return new Promise(answer => {
    let wanted = false;
    const yes = make("button", { type: "button", class: "act strong", onclick: () => { wanted = true; sheet.close(); } }, act);
    const sheet = openSheet(act, "share-sheet", make("p", {}, question), make("div", { class: "sheet-acts" }, yes));
    sheet.addEventListener("close", () => answer(wanted));
  });
}

function beside(sheet, { clientX: x, clientY: y }) {
  const { left, right, top, bottom } = sheet.getBoundingClientRect();
  return x < left || x > right || y < top || y > bottom;
}
