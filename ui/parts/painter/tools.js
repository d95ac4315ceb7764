// What is in the hand: the tool, its size, and for a sketch its colour, opacity and edge. Buttons and sliders show and set it.
import { MASK_COLOUR } from "./surface.js";
import { SMOOTH, SOFT, WHOLE } from "./strokes.js";

export const MASK = "mask", PAINT = "paint";
const LARGEST = 1000, STEPS = 200;          // of the size in pixels; of its slider, whose steps grow with it
const SHARE = 0.08;                         // of the picture's longer side: a size to begin with
const FRESH = { size: 0, colour: "#d62828", opacity: 100, soft: false };

const toSlider = size => STEPS * Math.log(size) / Math.log(LARGEST);
const fromSlider = value => Math.round(LARGEST ** (value / STEPS));
const channels = colour => [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16));

export class Tools {
  // `memory` keeps a person's choices: read() and write(choices). `changed` hears of another tool or size.
  constructor(root, memory, changed) {
    Object.assign(this, { root, memory, changed, tool: "brush", kind: "", choices: { ...FRESH, ...memory.read() } });
    root.addEventListener("click", event => {
      const button = event.target.closest("[data-tool], [data-colour]");
      if (button?.dataset.tool) this.pick(button.dataset.tool);
      if (button?.dataset.colour) this.choose({ colour: button.dataset.colour });
    });
    root.addEventListener("input", event => this.entered(event.target));
  }

  part(name) {
    return this.root.querySelector(`.painter-${name}`);
  }

  entered(input) {
    if (input.matches(".painter-size")) this.choose({ size: fromSlider(input.value) });
    if (input.matches(".painter-colour")) this.choose({ colour: input.value });
    if (input.matches(".painter-opacity")) this.choose({ opacity: Number(input.value) });
    if (input.matches(".painter-soft")) this.choose({ soft: input.checked });
  }

  take(kind, width, height) {
    this.kind = kind;
    if (kind === MASK && this.tool === "pick") this.tool = "brush";
    this.fitting = Math.max(4, Math.round(SHARE * Math.max(width, height)));
    this.render();
  }

  pick(tool) {
    this.tool = tool;
    this.render();
  }

  choose(choices) {
    Object.assign(this.choices, choices);
    this.memory.write(this.choices);
    if (choices.colour && this.tool === "eraser") this.tool = "brush";
    this.render();
  }

  get size() {
    return this.choices.size || this.fitting || FRESH.size;
  }

  resize(factor) {
    const step = factor > 1 ? 1 : -1, size = Math.round(this.size * factor);
    this.choose({ size: Math.min(LARGEST, Math.max(1, size === this.size ? size + step : size)) });
  }

  // The brush as strokes and blending want it.
  brush(erases) {
    const { colour, opacity, soft } = this.choices;
    const edge = this.kind === MASK ? WHOLE : soft ? SOFT : SMOOTH;
    return { edge, ink: this.kind === MASK ? { colour: MASK_COLOUR, erases } : { colour: channels(colour), opacity: erases ? 1 : opacity / 100, erases } };
  }

  render() {
    const { size, choices, root } = this, slider = this.part("size");
    for (const button of root.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === this.tool);
    for (const button of root.querySelectorAll("[data-colour]")) button.setAttribute("aria-pressed", button.dataset.colour === choices.colour);
    slider.value = toSlider(size);
    slider.style.setProperty("--share", toSlider(size) / STEPS);
    slider.setAttribute("aria-valuetext", `${size} px`);
    this.part("size-said").textContent = `${size} px`;
    this.part("colour").value = choices.colour;
    this.part("opacity").value = choices.opacity;
    this.part("opacity").style.setProperty("--share", choices.opacity / 100);
    this.part("opacity-said").textContent = `${choices.opacity} %`;
    this.part("soft").checked = choices.soft;
    this.changed();
  }
}
