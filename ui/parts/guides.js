// The units of ControlNet: their pictures, which of their settings act, and which of them are on.
import { appeared, find, findAll } from "../scripts/dom.js";
import { filesOf } from "../scripts/drop_zone.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { upload } from "./uploads.js";

const PLACE = ".record-picture", FOLD = ".fold-guides";
const SIZED = ["canny", "invert", "blur_gaussian", "threshold"];          // that work at a resolution
const PICTURE_PROMPT = "ip-adapter-auto";
const LEVELS = { threshold_a: ["canny", "blur_gaussian", "tile_resample", "threshold"], threshold_b: ["canny"] };
const unitOf = element => element.closest(FOLD).id.match(/^(.+?)_guides_(\d+)_fold$/).slice(1);
const named = (number, name) => `guides[${number}].${name}`;

// ---- pictures ----

let arriving = null;    // the newest picture on its way to the server: whether it came there

// Generate waits for it.
export const arrived = () => arriving;

function keep(box, file) {
  const ended = arriving = keeping(box, file).finally(() => { if (arriving === ended) arriving = null; });
}

async function keeping(box, file) {
  const [tab, number] = unitOf(box), form = formOf(tab), image = named(number, "image");
  form.unmark(image);
  box.classList.add("busy");
  try {
    const kept = await upload(file);
    form.apply({ [image]: kept.id, [named(number, "enabled")]: true });
    return true;
  } catch (error) { form.mark([{ field: image, message: error.message }]); return false; }
  finally { box.classList.remove("busy"); }
}

function remove(box) {
  const [tab, number] = unitOf(box);
  formOf(tab).replace({ [named(number, "image")]: "" }, "The unit's picture is removed.");
}

document.addEventListener("change", event => {
  if (!event.target.matches?.(`${PLACE} .unit-file`)) return;
  const [file] = event.target.files;
  if (file) keep(event.target.closest(PLACE), file);
  event.target.value = "";
}, true);
document.addEventListener("click", event => {
  const button = event.target.closest?.(`${PLACE} .unit-remove`);
  if (button) remove(button.closest(PLACE));
});

async function over(event) {
  const box = event.target.closest?.(PLACE);
  for (const each of findAll(PLACE)) each.classList.toggle("over", each === box && event.type === "dragover");
  if (!box) return;
  event.preventDefault();
  event.stopPropagation();
  if (event.type !== "drop") return;
  const [file] = await filesOf(event.dataTransfer);
  if (file) keep(box, file);
}
for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, over, true);

// ---- what is shown ----

function show(fold) {
  const [tab, number] = unitOf(fold), values = formOf(tab).values, value = name => values[named(number, name)];
  fold.classList.toggle("acting", Boolean(value("enabled")));
  fold.dataset.resting = resting(value("module"), value("pixel_perfect")).join(" ");
  const box = find(PLACE, fold);
  if (!box) return;
  const id = value("image"), thumb = find(".unit-thumb", box);
  box.classList.toggle("filled", Boolean(id));
  thumb.hidden = find(".unit-remove", box).hidden = !id;
  if (id && !thumb.src.endsWith(`${id}.png`)) thumb.src = `/easel/upload/${id}.png`;
}

// Names of settings that change nothing as the unit is.
function resting(module, pixelPerfect) {
  const acting = {
    pixel_perfect: SIZED.includes(module), processor_res: SIZED.includes(module) && !pixelPerfect,
    control_mode: module !== PICTURE_PROMPT,
    threshold_a: LEVELS.threshold_a.includes(module), threshold_b: LEVELS.threshold_b.includes(module),
  };
  return Object.keys(acting).filter(name => !acting[name]);
}

const look = tab => { for (const fold of findAll(FOLD)) if (unitOf(fold)[0] === tab) show(fold); };
on("form", one => look(one.tab));
for (const tab of ["txt2img", "img2img"]) for (const number of [0, 1, 2]) appeared(`#${tab}_guides_${number}_fold .unit-thumb`).then(() => look(tab));
