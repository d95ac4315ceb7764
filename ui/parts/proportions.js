// Width and height that keep their proportions while one of them is changed by hand.
import { appeared, find, type } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { store, stored } from "../scripts/storage.js";

const TABS = ["txt2img", "img2img"], LEAST = 64, MOST = 8192, CELL = 8;
const OTHER = { width: "height", height: "width" };
const ratios = {}, made = {};       // by tab: width / height while it is kept; the sides that this script has set
let setting = false;

const key = tab => `easel.proportions.${tab}`;
const input = (tab, side) => find(`#${tab}_${side} input[type="number"]`);
const ratio = ({ width, height }) => width > 0 && height > 0 ? width / height : null;

function keep(tab, kept) {
  ratios[tab] = kept ? ratio(formOf(tab).values) ?? ratio({ width: input(tab, "width").value, height: input(tab, "height").value }) : null;
  made[tab] = null;
  find(`#${tab}_proportions`).setAttribute("aria-pressed", Boolean(kept));
}

function changed(event) {
  const box = event.target.closest?.(".field"), tab = TABS.find(one => box?.id === `${one}_width` || box?.id === `${one}_height`);
  if (setting || !tab || !ratios[tab] || event.target.type === "range" || !(Number(event.target.value) > 0)) return;
  const side = box.id.slice(tab.length + 1), length = Number(event.target.value);
  const wanted = side === "width" ? length / ratios[tab] : length * ratios[tab];
  const other = Math.min(MOST, Math.max(LEAST, Math.round(wanted / CELL) * CELL));
  made[tab] = { [side]: length, [OTHER[side]]: other };
  setting = true;
  type(input(tab, OTHER[side]), other);
  setting = false;
}

// Sides that came from elsewhere, a picture or a button, bring other proportions.
function followed({ tab, values }) {
  if (!ratios[tab]) return;
  if (made[tab] && ["width", "height"].some(side => Number(values[side]) === made[tab][side])) return;
  ratios[tab] = ratio(values) ?? ratios[tab];
}

document.addEventListener("input", changed, true);
on("form", followed);
for (const tab of TABS) appeared(`#${tab}_proportions`).then(button => {
  keep(tab, stored(localStorage, key(tab)));
  button.addEventListener("click", () => { store(localStorage, key(tab), !ratios[tab]); keep(tab, !ratios[tab]); });
});
