// Two pictures over each other with an edge to drag, or side by side; below it the settings that differ.
import { Comparison } from "../../parts/comparison_slider.js";
import { find, make } from "../../scripts/dom.js";
import { fields } from "../../scripts/fields.js";
import { ask } from "../../scripts/http.js";
import { described } from "./grid.js";

export class Compare {
  constructor(box) {
    this.box = box;
    this.pictures = new Comparison(find(".compare-stage", box));
    find('[data-compare="close"]', box).addEventListener("click", () => box.close());
    find('[data-compare="beside"]', box).addEventListener("click", () => this.beside(!box.classList.contains("beside")));
  }

  open(rows) {
    const [a] = rows;
    this.pictures.show(rows.map((row, at) => ({ url: row.missing ? "" : row.url, alt: `${at ? "Right" : "Left"}: ${described(row)}`,
      caption: `Seed ${row.seed} · ${row.width} × ${row.height}` })), a.width / a.height);
    this.pictures.part(50);
    this.beside(this.box.classList.contains("beside"));
    this.box.showModal();
    this.pictures.slider.focus();
    this.tell(rows);
    this.tellFaces(rows);
  }

  beside(on) {
    this.box.classList.toggle("beside", on);
    this.pictures.slider.hidden = on;
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

  // Only where a network that knows faces again is in the models folders.
  async tellFaces([a, b]) {
    const faces = find(".compare-faces", this.box), asked = this.askedFaces = {};
    faces.textContent = "";
    const answer = await ask(`/easel/faces/similarity?${new URLSearchParams({ a: a.id, b: b.id })}`).catch(error => ({ why: error.message }));
    if (this.askedFaces === asked) faces.textContent = alike(answer);
  }
}

function alike({ similarity, why }) {
  return similarity == null ? why : `Likeness of the faces: ${similarity.toFixed(2)} (1 is the same)`;
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
