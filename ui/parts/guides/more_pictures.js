// Further pictures of one unit: of the same thing or person, for those whose picture is a prompt.
import { make } from "../../scripts/dom.js";
import { PicturePlace, thumbnail } from "./picture_place.js";
import { withRoot } from "../../scripts/root.js";

export class MorePictures {
  // `changed(ids)` hears of pictures that came or went; they are counted from `first`.
  constructor(id, { label = "More pictures", hint = "of the same thing or person", first = 2, changed, failed }) {
    Object.assign(this, { changed, failed, first, ids: [] });
    this.list = make("div", { class: "unit-more" });
    this.place = new PicturePlace(id, label, { hint, several: ids => changed([...this.ids, ...ids]), failed });
    this.place.root.append(this.list);
    this.root = this.place.root;
  }

  show(ids, visible) {
    this.root.hidden = !visible;
    this.ids = ids;
    this.list.replaceChildren(...ids.map((id, number) => make("button", { type: "button", class: "act", "aria-label": `Remove picture ${number + this.first}`, title: `Remove picture ${number + this.first}`, onclick: () => this.changed(this.ids.toSpliced(number, 1)) },
      thumbnail({ src: withRoot(`/easel/upload/${id}.png`), alt: "" }, this.failed), make("span", { "aria-hidden": "true" }, "×"))));
  }
}
