// A place for one picture of a unit: chosen, taken by the camera, dropped, or pasted while it has the focus or the pointer.
import { make } from "../../scripts/dom.js";
import { filesOf } from "../../scripts/drop_zone.js";
import { photograph } from "../camera.js";
import { arriving } from "../guides.js";
import { upload } from "../uploads.js";
import { withRoot } from "../../scripts/root.js";

// How a picture lies on the canvas that is drawn, by resize mode.
export const LIES = { "Just Resize": "100% 100%", "Crop and Resize": "cover", "Resize and Fill": "contain" };

const places = new WeakMap();

// A picture that was sent here; `gone(message)` is called where it is kept no longer.
export function thumbnail(attributes, gone) {
  const thumb = make("img", { class: "unit-thumb", ...attributes, onerror: async () => {
    const { src } = thumb, { status } = await fetch(src).catch(() => ({}));
    if (status === 404 && thumb.src === src) gone("is no longer there; choose the picture again");
  } });
  return thumb;
}

// A place can have the focus by Tab alone, as a click on it asks for a file: what is pasted goes to the one that is pointed at.
document.addEventListener("paste", event => places.get(document.querySelector(".unit-place:hover"))?.pasted(event), true);

export class PicturePlace {
  // `changed(id)` hears of a picture that has come, `failed(message)` of one that has not. A place with `several` takes many at
  // a time and shows none: that hears of their ids.
  constructor(id, label, { hint = "or drop one here, or paste", mask = false, changed, failed, several = null }) {
    Object.assign(this, { changed, failed, mask, several });
    this.file = make("input", { type: "file", accept: "image/*", multiple: Boolean(several), class: "unit-file", "aria-label": label, onchange: () => this.chosen() });
    this.thumb = thumbnail({ alt: label, hidden: true }, message => { this.gone = this.shown; this.show(this.shown); failed(message); });
    this.frame = make("span", { class: "unit-frame" }, this.thumb);
    this.choose = make("label", { class: "unit-choose" }, this.frame, this.title = make("span", { class: "unit-title" }, several ? "Choose pictures" : "Choose a picture"), make("span", { class: "unit-hint" }, hint), this.file);
    this.drop = make("button", { type: "button", class: "act unit-remove", hidden: true, onclick: () => { this.show(""); changed(""); } }, "Remove");
    this.shot = make("button", { type: "button", class: "act", "aria-haspopup": "dialog", onclick: () => this.photographed() }, "Camera");
    this.acts = make("div", { class: "unit-acts" }, ...(mask ? [] : [this.shot]), this.drop);
    this.root = make("div", { id, class: "field unit-place", ondragover: event => this.over(event), ondragleave: event => this.over(event), ondrop: event => this.over(event), onpaste: event => this.pasted(event) },
      make("span", { class: "unit-label" }, label), this.choose, this.acts);
    places.set(this.root, this);
  }

  show(id) {
    this.shown = id;
    this.root.classList.toggle("filled", Boolean(id));
    this.thumb.hidden = !id || id === this.gone;
    this.drop.hidden = !id;
    this.title.textContent = id ? "Another picture" : "Choose a picture";
    if (id && !this.thumb.src.endsWith(`${id}.png`)) this.thumb.src = withRoot(`/easel/upload/${id}.png`);
  }

  chosen() {
    this.keep([...this.file.files]);
    this.file.value = "";
  }

  async over(event) {
    event.preventDefault();
    event.stopPropagation();
    this.root.classList.toggle("over", event.type === "dragover");
    if (event.type === "drop") this.keep(await filesOf(event.dataTransfer));
  }

  pasted(event) {
    const files = [...event.clipboardData?.files ?? []].filter(one => one.type.startsWith("image/"));
    if (!files.length) return;
    event.preventDefault();
    event.stopPropagation();
    this.keep(files);
  }

  async photographed() {
    const file = await photograph();
    if (file) this.keep([file]);
    this.shot.focus();
  }

  keep(files) { if (files.length) arriving(this.keeping(this.several ? files : files.slice(0, 1))); }

  async keeping(files) {
    const latest = this.latest = {}, ids = [];
    let wrong = "";
    this.root.classList.add("busy");
    for (const file of files) try { ids.push((await upload(file, this.mask)).id); } catch (error) { wrong = error.message; }
    if (!this.several && this.latest !== latest) return true;      // another was chosen while this one was on its way
    this.root.classList.remove("busy");
    if (ids.length) this.came(ids);
    if (wrong) this.failed(wrong);
    return !wrong;
  }

  came(ids) {
    if (this.several) return this.several(ids);
    this.show(ids[0]);
    this.changed(ids[0]);
  }
}
