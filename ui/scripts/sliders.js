// A slider below every number that has one: the number stays the field, the slider is for the mouse and the thumb.
import { find, findAll, make, type } from "./dom.js";
import { on } from "./events.js";

export function addSlider(box, { min, max, step }) {
  const input = find("input", box);
  const slider = make("input", { type: "range", class: "slider", min, max, step, tabindex: -1, "aria-hidden": "true" });
  slider.value = input.value || min;
  fill(slider, slider.value);
  slider.addEventListener("input", () => type(input, slider.value));
  box.append(slider);
}

function fill(slider, value) {
  const share = (Number(value ?? slider.min) - slider.min) / (slider.max - slider.min);
  slider.style.setProperty("--share", Math.min(1, Math.max(0, share)));
}

on("form", ({ tab, values }) => {
  for (const slider of findAll(`[id^="${tab}_"][data-dressed] > .slider`)) {
    const value = values[slider.parentElement.dataset.dressed];
    if (value != null && document.activeElement !== slider) slider.value = value;
    fill(slider, value);
  }
});
