// The row of hires. fix: its fold opens and closes with the switch, and the row says which size comes out.
import { appeared, find } from "../../scripts/dom.js";
import { on } from "../../scripts/events.js";
import { formOf } from "../../scripts/form.js";

const TAB = "txt2img";

// As the worker has it: by the factor, or to a size of which one side may be 0. Of sizes to scale to whole cells are kept.
function target({ width, height, hr_scale: scale, hr_resize_x: x, hr_resize_y: y }) {
  const whole = side => Math.floor(side / 8) * 8;
  if (!x && !y) return [whole(width * scale), whole(height * scale)];
  if (!y) return [whole(x), whole(x * height / width)];
  if (!x) return [whole(y * width / height), whole(y)];
  return [whole(x), whole(y)];
}

function render() {
  const place = find(`#${TAB}_hires_size p`), { values } = formOf(TAB);
  if (!place || !(values.width > 0 && values.height > 0)) return;
  place.textContent = `${values.width} × ${values.height} → ${target(values).join(" × ")}`;
  place.classList.toggle("acting", Boolean(values.enable_hr));
}

document.addEventListener("change", event => {
  if (!event.target.closest?.(`#${TAB}_enable_hr`)) return;
  const fold = find(`#${TAB}_hires > button`);
  if (fold.classList.contains("open") !== event.target.checked) fold.click();
});
on("form", form => { if (form.tab === TAB) render(); });
appeared(`#${TAB}_hires_size p`).then(render);
