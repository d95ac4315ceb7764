// Which of a picture's faces is meant: a box over each face that is found in the picture of a place, one of them to click.
import { make } from "../../scripts/dom.js";
import { ask } from "../../scripts/http.js";

const AGAIN = 2000;         // ms until a picture is looked at again that no worker could look at yet
const known = new Map();    // by pack, adapter and picture: a promise of what was found; nothing that failed

// What a `pack` of networks, or an IP-Adapter's own, finds of the faces in an upload: { faces, orders, why, later }.
export function located(picture, pack, adapter) {
  const key = `${pack} ${adapter} ${picture}`, forgotten = found => { if (!found.faces.length) known.delete(key); return found; };
  if (!known.has(key)) known.set(key, ask(`/easel/faces/located?${new URLSearchParams({ picture, pack, adapter })}`).catch(error => ({ faces: [], orders: {}, why: error.message })).then(forgotten));
  return known.get(key);
}

export class FaceChoice {
  // `chosen(number)` hears of the number, in the order that is shown, of the face that a person chose.
  constructor(place, chosen) {
    this.chosen = chosen;
    this.boxes = make("span", { class: "face-boxes", role: "group", "aria-label": "Which face is meant", hidden: true });
    this.note = make("p", { class: "unit-note", role: "status", hidden: true });
    place.frame.append(this.boxes);
    this.notice = make("p", { class: "unit-note", hidden: true }, "The public face models are for research that is not commercial.");
    place.root.append(this.note, this.notice);
  }

  // Of which `picture` (an upload's id), seen by which `pack` of networks (or those of an `adapter`), the face of which `number` (null: none yet) in which `order`;
  // only men or women where `male` is true or false. Nothing is shown for null.
  async show(meant) {
    this.meant = meant;
    this.notice.hidden = !meant;
    const found = meant && await located(meant.picture, meant.pack, meant.adapter);
    if (this.meant !== meant) return;
    this.draw(found);
    if (found?.later) setTimeout(() => { if (this.meant === meant && this.boxes.isConnected) this.show(meant); }, AGAIN);
  }

  draw(found) {
    const counted = found ? this.counted(found) : [], number = this.meant?.number, focused = [...this.boxes.children].indexOf(document.activeElement);
    this.boxes.hidden = !counted.length;
    this.boxes.replaceChildren(...counted.map((face, place) => this.box(face, place, place === number)));
    if (focused >= 0) this.boxes.children[focused]?.focus();
    const lacks = !found ? "" : found.why || (counted[number] || number === null ? "" : "No face of the picture has this number.");
    this.say(lacks || counted.length > 1 && "Click the face that is meant.", Boolean(lacks));
  }

  counted({ faces, orders }) {
    const { order, male = null } = this.meant;
    return (orders[order] ?? []).map(place => faces[place]).filter(face => male === null || face.male === male);
  }

  box({ box: [left, top, right, bottom] }, place, on) {
    const share = part => `${100 * part}%`, style = `left: ${share((left + right) / 2)}; top: ${share((top + bottom) / 2)}; width: ${share(right - left)}; height: ${share(bottom - top)}`;
    return make("button", { type: "button", class: "face-box", style, "aria-pressed": String(on), "aria-label": `Face ${place}`, title: `Face ${place}`, onclick: () => this.chosen(place) }, make("span", { "aria-hidden": "true", translate: "no" }, String(place)));
  }

  say(text, lacks) {
    this.note.textContent = text || "";
    this.note.classList.toggle("lacks", lacks);
    this.note.hidden = !text;
  }
}
