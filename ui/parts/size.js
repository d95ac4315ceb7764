// Width and height in another shape.
import { formOf } from "../scripts/form.js";
import { currentTab } from "../scripts/tabs.js";

// About the same area; sides are multiples of 8.
export function shape(width, height, ratio) {
  const area = Math.max(64 * 64, (width || 512) * (height || 512));
  const side = length => Math.max(64, Math.round(length / 8) * 8);
  return [side(Math.sqrt(area * ratio)), side(Math.sqrt(area / ratio))];
}

document.addEventListener("click", async event => {
  const [across, down] = event.target.closest?.("[data-shape]")?.dataset.shape.split(":") ?? [];
  if (!down) return;
  const form = formOf(currentTab()), now = await form.fresh(), [width, height] = shape(now.width, now.height, across / down);
  form.apply({ width, height });
});
