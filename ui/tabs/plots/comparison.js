// Two cells over each other with an edge to drag, or side by side.
import { Comparison } from "../../parts/comparison_slider.js";
import { find, make } from "../../scripts/dom.js";

export function openComparison(plot, keys) {
  const stage = make("div", { class: "compare-stage" }), pictures = new Comparison(stage);
  const beside = make("button", { type: "button", class: "act", "aria-pressed": "false", onclick: () => {
    const on = dialog.classList.toggle("beside");
    pictures.slider.hidden = on;
    beside.setAttribute("aria-pressed", String(on));
  } }, "Side by side");
  const swap = make("button", { type: "button", class: "act", onclick: () => { keys.reverse(); show(); } }, "Swap");
  const dialog = make("dialog", { class: "compare", "aria-label": "Two cells compared" },
    make("header", {}, make("h2", {}, "Compare"), swap, beside, make("button", { type: "button", class: "act", onclick: () => dialog.close() }, "Close")), stage);
  const show = () => {
    const [a] = keys.map(key => plot.picture(key));
    pictures.show(keys.map(key => ({ url: plot.picture(key).url, alt: plot.named(key), caption: captions(plot, keys)[key] })), a.width / a.height);
  };
  show();
  pictures.part(50);
  dialog.addEventListener("close", () => dialog.remove());
  (find("main") ?? document.body).append(dialog);
  dialog.showModal();
  pictures.slider.focus();
}

// What the two do not have in common.
function captions(plot, keys) {
  const [a, b] = keys.map(key => key.split(","));
  const own = place => place.map((at, axis) => a[axis] === b[axis] ? "" : `${plot.axes[axis].label}: ${plot.axes[axis].values[at]}`).filter(Boolean).join(", ");
  return { [keys[0]]: own(a), [keys[1]]: own(b) };
}
