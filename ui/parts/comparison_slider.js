// Two pictures over each other. The edge between them is a range field that lies over both, so that mouse, finger, arrow keys and
// screen readers move it as any other.
import { find, make } from "../scripts/dom.js";

const SIDES = ["a", "b"];

const figure = side => make("figure", { class: `compare-${side}` }, make("img", { alt: "", translate: "no", draggable: "false" }), make("figcaption", {}));

export class Comparison {
  constructor(place) {
    this.place = place;
    place.classList.add("comparison");
    this.slider = make("input", { type: "range", class: "compare-slider", min: 0, max: 100, step: 1, value: 50, "aria-label": "How much of the left picture is seen" });
    place.append(...SIDES.map(figure), make("i", { class: "compare-edge", "aria-hidden": "true" }), this.slider);
    this.slider.addEventListener("input", () => this.part(Number(this.slider.value)));
    place.addEventListener("error", event => event.target.closest("figure")?.classList.add("gone"), true);
  }

  // `pictures` are left and right, each { url, alt, caption }; one without a url is gone. `ratio` is width by height of the place.
  show(pictures, ratio) {
    this.place.style.setProperty("--ratio", ratio);
    pictures.forEach(({ url, alt, caption }, at) => {
      const side = find(`.compare-${SIDES[at]}`, this.place), image = find("img", side);
      side.classList.toggle("gone", !url);
      if (!url) image.removeAttribute("src");
      else if (image.getAttribute("src") !== url) image.src = url;
      image.alt = alt;
      find("figcaption", side).textContent = caption;
    });
  }

  part(share) {
    this.slider.value = share;
    this.slider.setAttribute("aria-valuetext", `${Math.round(share)}% of the left picture`);
    this.place.style.setProperty("--part", `${share}%`);
  }
}
