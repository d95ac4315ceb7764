// Two pictures over each other with an edge to drag, or side by side; below it the settings that differ.
import { find, make } from "../../scripts/dom.js";
import { fields } from "../../scripts/fields.js";
import { ask } from "../../scripts/http.js";
import { described } from "./grid.js";

const SIDES = ["a", "b"];

export class Compare {
  constructor(box) {
    this.box = box;
    this.stage = find(".compare-stage", box);
    this.slider = find(".compare-slider", box);
    this.slider.addEventListener("input", () => this.part(Number(this.slider.value)));
    for (const type of ["pointerdown", "pointermove"]) this.stage.addEventListener(type, event => this.drag(event));
    this.stage.addEventListener("error", event => event.target.closest("figure")?.classList.add("gone"), true);
    find('[data-compare="close"]', box).addEventListener("click", () => box.close());
    find('[data-compare="beside"]', box).addEventListener("click", () => this.beside(!box.classList.contains("beside")));
  }

  open(rows) {
    const [a] = rows;
    this.box.style.setProperty("--ratio", a.width / a.height);
    SIDES.forEach((side, at) => this.place(side, rows[at]));
    this.part(50);
    this.beside(this.box.classList.contains("beside"));
    this.box.showModal();
    this.slider.focus();
    this.tell(rows);
  }

  place(side, row) {
    const figure = find(`.compare-${side}`, this.box), image = find("img", figure);
    figure.classList.toggle("gone", row.missing);
    if (row.missing) image.removeAttribute("src");
    else image.src = row.url;
    image.alt = `${side === "a" ? "Left" : "Right"}: ${described(row)}`;
    find("figcaption", figure).textContent = `Seed ${row.seed} · ${row.width} × ${row.height}`;
  }

  part(share) {
    this.slider.value = share;
    this.slider.style.setProperty("--share", share / 100);
    this.slider.setAttribute("aria-valuetext", `${Math.round(share)}% of the left picture`);
    this.stage.style.setProperty("--part", `${share}%`);
  }

  drag(event) {
    if (this.box.classList.contains("beside") || !(event.buttons & 1)) return;
    if (event.type === "pointerdown") this.stage.setPointerCapture(event.pointerId);
    const { left, width } = this.stage.getBoundingClientRect();
    this.part(Math.min(100, Math.max(0, 100 * (event.clientX - left) / width)));
    event.preventDefault();
  }

  beside(on) {
    this.box.classList.toggle("beside", on);
    this.slider.hidden = on;
    find('[data-compare="beside"]', this.box).setAttribute("aria-pressed", on);
  }

  async tell([a, b]) {
    const count = find(".compare-count", this.box), table = find(".compare-table", this.box);
    const asked = this.asked = {};
    count.textContent = "Comparing the settings…";
    table.hidden = true;
    try {
      const answer = await ask(`/easel/history/compare?${new URLSearchParams({ a: a.id, b: b.id })}`);
      if (this.asked !== asked) return;
      count.textContent = summed(answer);
      table.hidden = !answer.differences.length;
      find("tbody", table).replaceChildren(...answer.differences.map(difference => line(difference)));
    } catch (error) {
      if (this.asked === asked) count.textContent = `The settings could not be compared: ${error.message}`;
    }
  }
}

function summed({ differences, same }) {
  const settings = count => count === 1 ? "1 setting" : `${count} settings`;
  if (!differences.length) return `All ${settings(same)} are the same.`;
  return `${settings(differences.length)} ${differences.length === 1 ? "differs" : "differ"}, ${same} ${same === 1 ? "is" : "are"} the same.`;
}

function line({ key, a, b }) {
  return make("tr", {}, make("th", { scope: "row" }, fields[key]?.label ?? key), make("td", {}, worded(a)), make("td", {}, worded(b)));
}

function worded(value) {
  if (value === true) return "on";
  if (value === false) return "off";
  if (value == null || value === "") return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
