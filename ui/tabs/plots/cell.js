// What one cell of the grid shows: its picture, a hole with the reason, or that it waits; over it a score or a difference.
import { make } from "../../scripts/dom.js";
import { translated } from "../../scripts/translate.js";

const SAYS = { queued: "Waiting", running: "Being drawn", cancelled: "Cancelled", failed: "Failed", binned: "In the bin", none: "Not drawn", done: "The file is gone" };
const AGAIN = ["failed", "cancelled"];
const THUMB = 320, WORDY = 90;      // pixels of a thumbnail's longer side; of a cell that has room for words

export function stateOf(plot, key) {
  const cell = plot.cell(key);
  if (cell?.binned) return "binned";
  return cell?.state ?? "none";
}

// As sharp as the cell is large.
function addressOf(picture, wide) {
  const longer = Math.max(wide, wide * picture.height / picture.width) * devicePixelRatio;
  return longer > THUMB * 1.25 ? picture.url : picture.thumb;
}

// `look` is { wide, caption, scored(key), again(key), over(tile, picture) }, the last two as buttons and layers want them.
export function fillCell(tile, plot, key, look) {
  const picture = plot.picture(key), state = stateOf(plot, key), name = plot.named(key), score = look.scored(key);
  const reason = plot.cell(key)?.message ?? "", says = picture ? "" : translated(SAYS[state] ?? state);
  tile.dataset.state = picture ? "done" : state;
  tile.setAttribute("aria-label", [name, says, picture ? "" : reason, score?.words].filter(Boolean).join(". "));
  tile.title = [name.replaceAll(", ", "\n"), reason, score?.words].filter(Boolean).join("\n");
  tile.style.setProperty("--score", score?.colour ?? "transparent");
  tile.classList.toggle("scored", Boolean(score));
  if (picture) seen(tile, picture, look);
  else hole(tile, { state, says, reason, key }, look);
  tile.classList.toggle("captioned", Boolean(look.caption));
  if (look.caption) tile.append(make("span", { class: "plot-caption", "aria-hidden": "true" }, look.caption));
  if (score) tile.append(make("span", { class: "plot-score", "aria-hidden": "true" }, score.text));
}

function seen(tile, picture, look) {
  const address = addressOf(picture, look.wide), image = tile.querySelector(":scope > img");
  if (image?.getAttribute("src") === address) tile.replaceChildren(image);
  else tile.replaceChildren(make("img", { src: address, alt: "", decoding: "async", draggable: "false" }));
  look.over(tile, picture);
}

function hole(tile, { state, says, reason, key }, look) {
  const roomy = look.wide >= WORDY, words = make("span", { class: "plot-hole" }, make("b", {}, roomy ? says : says.slice(0, 1)), ...(roomy && reason ? [make("span", {}, reason)] : []));
  const again = AGAIN.includes(state) && roomy ? [make("button", { type: "button", class: "act", tabindex: -1, onclick: () => look.again(key) }, translated("Try again"))] : [];
  tile.replaceChildren(words, ...again);
}
