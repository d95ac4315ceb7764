// Values of an axis that are pictures: chosen or dropped, shown small, and kept as text: their names and the ids that the server gave them.
import { make } from "../../scripts/dom.js";
import { filesOf } from "../../scripts/drop_zone.js";
import { note } from "../notices.js";
import { upload } from "../uploads.js";
import { joined, parted } from "./value_list.js";
import { withRoot } from "../../scripts/root.js";

const PICTURE = /^(?:(.*)=)?([0-9a-f]{64})$/s;

// A name as a value may have it: no marks that stand between values or between a name and its picture.
const plainName = file => file.replace(/\.\w{1,5}$/, "").replace(/[=,"\s]+/g, " ").trim();

document.head.append(make("link", { rel: "stylesheet", href: new URL("./picture_values.css", import.meta.url).href }));

export class PictureValues {
  // `owner` is { text, set(text) }; `label()` names the axis.
  constructor(owner, label) {
    Object.assign(this, { owner, label });
    this.file = make("input", { type: "file", accept: "image/*", multiple: true, class: "axis-file", onchange: () => { this.add([...this.file.files]); this.file.value = ""; } });
    this.choose = make("label", { class: "act axis-add" }, "Add pictures", this.file);
    this.list = make("ul", { class: "axis-pictures" });
    this.root = make("div", { class: "axis-picture-values", ondragover: event => this.over(event), ondragleave: event => this.over(event), ondrop: event => this.over(event) }, this.list, this.choose,
      make("span", { class: "axis-drop" }, "or drop some here, also finished ones"));
  }

  get values() { return parted(this.owner.text); }

  show() {
    this.file.setAttribute("aria-label", `Pictures of axis ${this.label()}`);
    this.list.replaceChildren(...this.values.map((value, number) => {
      const [, name = "", id = ""] = PICTURE.exec(value) ?? [], words = name || value;
      const drop = make("button", { type: "button", class: "tool icon-close", "aria-label": `Remove ${words}`, title: "Remove", onclick: () => this.remove(number) });
      return make("li", {}, id ? make("img", { src: withRoot(`/easel/upload/${id}.png`), alt: "" }) : "", make("span", { translate: "no", title: words }, words), drop);
    }));
  }

  async over(event) {
    event.preventDefault();
    event.stopPropagation();
    this.root.classList.toggle("over", event.type === "dragover");
    if (event.type === "drop") this.add(await filesOf(event.dataTransfer));
  }

  // One after the other, in their order; one that is no picture keeps none of the others out.
  async add(files) {
    this.root.classList.add("busy");
    for (const file of files) {
      try {
        const { id } = await upload(file), values = this.values, name = plainName(file.name ?? "") || `picture ${values.length + 1}`;
        if (!values.some(value => value.endsWith(id))) this.owner.set(joined([...values, `${name}=${id}`]));
      } catch (error) { note(error.message, 8000); }
    }
    this.root.classList.remove("busy");
    this.show();
  }

  remove(number) {
    this.owner.set(joined(this.values.toSpliced(number, 1)));
    this.show();
    this.file.focus();
  }
}
