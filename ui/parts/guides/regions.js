// Where each part of the prompt acts: as many places for masks as the prompt has parts between AND.
import { make } from "../../scripts/dom.js";
import { on } from "../../scripts/events.js";
import { fields } from "../../scripts/fields.js";
import { formOf } from "../../scripts/form.js";
import { paint } from "./brush.js";
import { PicturePlace } from "./picture_place.js";
import { styles } from "./style_sheet.js";

const { most: MOST } = fields.regions;
const parts = prompt => (prompt ?? "").split(/\bAND\b/).map(part => part.trim());

export class Regions {
  static async made(tab) {
    await styles();
    return new Regions(tab);
  }

  constructor(tab) {
    Object.assign(this, { tab, form: formOf(tab), places: [], texts: "" });
    this.list = make("div", { class: "region-list" });
    this.hint = make("p", { class: "guides-empty" }, "Write AND between two parts of the prompt: each may then have a region of its own.");
    this.root = make("div", { class: "guides" }, this.hint, this.list);
    on("form", form => { if (form.tab === tab) this.look(); });
    this.look();
  }

  put(place) { place.replaceChildren(this.root); }

  get now() { return { ...this.form.values, ...this.form.pending }; }
  get regions() { return JSON.parse(this.now.regions ?? "[]"); }

  look() {
    const all = parts(this.now.prompt).slice(0, MOST), texts = all.length > 1 || this.regions[0]?.mask ? all : [], told = JSON.stringify(texts);    // the region of a part that is the only one by now acts, too
    if (told !== this.texts) this.lay(texts);
    this.texts = told;
    this.places.forEach((place, number) => place.show(this.regions[number]?.mask ?? ""));
  }

  lay(texts) {
    this.hint.hidden = texts.length > 0;
    this.places = texts.map((text, number) => this.place(text, number));
    this.list.replaceChildren(...this.places.map(place => place.root));
  }

  place(text, number) {
    const place = new PicturePlace(`${this.tab}_regions_${number}_mask`, `Region of part ${number + 1}`, {
      hint: "White is where this part acts. Without one everywhere.", mask: true, changed: mask => this.set(number, mask),
      failed: message => this.form.mark([{ field: `regions[${number}].mask`, message }], false) });
    place.root.prepend(make("p", { class: "region-text", translate: "no" }, text));
    place.root.append(make("button", { type: "button", class: "act", onclick: () => this.paint(number) }, "Paint a region"));
    return place;
  }

  set(number, mask) {
    const regions = this.regions;
    while (regions.length <= number) regions.push({ mask: "" });
    regions[number] = { mask };
    this.form.apply({ regions: JSON.stringify(regions) });
    this.look();
  }

  async paint(number) {
    const { width, height, init_image: beside = "" } = this.now, under = this.regions[number]?.mask ?? "";
    const id = await paint("Paint the region in white", { under, beside, size: [Number(width) || 512, Number(height) || 512], mask: true });
    if (id) this.set(number, id);
  }
}
