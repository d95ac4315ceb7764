// One picture on the whole screen; arrow keys walk through the tab's strip, Escape leaves.
import { find } from "../scripts/dom.js";

export class Lightbox {
  constructor(dialog, results) {
    this.dialog = dialog;
    this.results = results;
    find(".lightbox-back", dialog).addEventListener("click", () => this.step(-1));
    find(".lightbox-on", dialog).addEventListener("click", () => this.step(1));
    find(".lightbox-close", dialog).addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", event => { if (event.target === dialog || event.target.tagName === "IMG") dialog.close(); });
    dialog.addEventListener("keydown", event => {
      if (event.key === "ArrowLeft") this.step(-1);
      if (event.key === "ArrowRight") this.step(1);
    });
  }

  show(image) {
    this.current = image;
    const picture = find("img", this.dialog);
    picture.src = image.url;
    picture.alt = this.results.described(image);
  }

  step(by) {
    const images = this.results.list();
    const next = images[images.findIndex(image => image.id === this.current.id) + by];
    if (!next) return;
    this.show(next);
    this.results.choose(next.id);
  }

  open(image) {
    if (!image) return;
    this.show(image);
    this.dialog.showModal();
  }
}
