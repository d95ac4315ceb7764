// The picture to start from: chosen, dropped, pasted, sent here or begun empty; its size; and what happens to it.
import { appeared, find } from "../scripts/dom.js";
import { dropZone, filesOf } from "../scripts/drop_zone.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { currentTab, openTab } from "../scripts/tabs.js";
import { photograph } from "./camera.js";
import { BOTH, clear, held, INPAINT, made, mode, PLAIN, settled, SIDES, SKETCH } from "./mask_editor.js";
import { note, say } from "./notices.js";
import { shape } from "./size.js";
import { measured, multiple, upload } from "./uploads.js";

const TAB = "img2img", ROOMY = 1024 * 1024;
const SAYS = {
  [PLAIN]: () => "The whole picture changes.",
  [SKETCH]: paint => paint ? "The paint is part of the picture that is drawn from." : "Paint on the picture with any colour.",
  [INPAINT]: mask => mask ? "With a mask: only the painted part changes." : "No mask: the whole picture changes. Paint over what shall change.",
  [BOTH]: paint => paint ? "Only what is painted changes, beginning with its colours." : "Paint with the colours that shall come there.",
};
const CLEARS = { mask: "Remove mask", paint: "Remove paint" };
const form = () => formOf(TAB);
const box = () => find(`#${TAB}_init_image`);
let arriving = null;    // a picture on its way to the server: whether it came there

// ---- from outside to the server ----

function underWay(work) {
  const ended = arriving = work.finally(() => { if (arriving === ended) arriving = null; });
  return ended;
}

// The file becomes the picture to start from, with more field values.
export const keep = (file, more) => underWay(keeping(file, more));
async function keeping(file, more) {
  const kept = await tried("init_image", () => upload(file));
  if (!kept) return false;
  const values = { init_image: kept.id, mask: "", paint: "", ...fittingSize(kept), ...more }, text = `Picture of ${kept.width} by ${kept.height} pixels taken.`;
  if (held("init_image")) form().replace(values, text);
  else { form().apply(values); say(text); }
  return true;
}

const keepMask = file => underWay(keepingMask(file));
async function keepingMask(file) {
  const kept = await tried("mask", () => upload(file, true));
  if (!kept) return false;
  form().replace({ mask: kept.id, editor_mode: INPAINT }, "Mask taken.");
  return true;
}

async function tried(field, act) {
  form().unmark(field);
  box()?.classList.add("busy");
  try { return await act(); }
  catch (error) { form().mark([{ field, message: error.message }]); }
  finally { box()?.classList.remove("busy"); }
}

// A finished picture (its `url`) or one from outside (its `file`), with its settings; into the mask's mode when asked.
export async function send(image, request = {}, { inpaint = false } = {}) {
  await openTab(TAB);
  const kept = await tried("init_image", async () => upload(image.file ?? await (await fetch(image.url)).blob()));
  if (!kept) return;
  form().reuse({ ...request, init_image: kept.id, mask: "", width: multiple(kept.width), height: multiple(kept.height) });
  form().apply({ editor_mode: inpaint ? INPAINT : PLAIN });
  if (inpaint) find(`#${TAB}_inpaint_fold > button:not(.open)`)?.click();
}

// A white sheet of the size that is set, to draw on.
async function blank() {
  const canvas = document.createElement("canvas"), { width, height } = await form().fresh();
  [canvas.width, canvas.height] = [multiple(width), multiple(height)];
  const sheet = canvas.getContext("2d");
  sheet.fillStyle = "#ffffff";
  sheet.fillRect(0, 0, canvas.width, canvas.height);
  canvas.toBlob(file => keep(file, { editor_mode: SKETCH }));
}

// ---- sizes ----

// The model's own size gives way to the picture's shape; a size that the person chose stays.
function fittingSize({ width, height }) {
  const own = form(), values = own.values;
  const untouched = ["width", "height"].every(name => Number(values[name]) === own.fitting(own.checkpoint, name));
  if (!untouched) return {};
  if (width * height <= ROOMY) return { width: multiple(width), height: multiple(height) };
  const [across, down] = shape(values.width, values.height, width / height);
  return { width: across, height: down };
}

export async function size(before, by) {
  const own = held("init_image") && await measured(held("init_image")).catch(() => null);
  if (!own) { note("There is no picture to take the size from.", 5000); return before; }
  return own.map(length => multiple(length * (by > 0 ? by : 1)));
}

// ---- what is said of it ----

async function describe() {
  const place = box(), picture = held("init_image"), over = made() && held(made());
  if (!place || !find(".start-acts", place)) return;
  place.classList.toggle("filled", Boolean(picture));
  place.dataset.mode = mode();
  find(".start-facts", place).hidden = find(".start-acts", place).hidden = !picture;
  const clears = find('[data-act="clear"]', place);
  clears.hidden = !over;
  clears.textContent = CLEARS[made()] ?? "";
  const grows = [PLAIN, INPAINT].includes(mode()) && !over && ACTING.outpaint(form().values);
  find(".start-mode", place).textContent = grows ? "The picture grows at its sides and stays as it is." : SAYS[mode()](over);
  find(".painter-stage", place)?.setAttribute("aria-label", made() ? `${mode()}: paint on the picture` : "The picture");
  if (!picture) return;
  const own = await measured(picture).catch(() => gone(picture));
  if (!own) return;
  find(".start-size", place).textContent = own.join(" × ");
  outcome(own);
}

// What a fold does is seen when it is closed, too; and fields that do nothing look calm.
const ACTING = {
  outpaint: values => SIDES.some(side => Number(values[`outpaint_${side}`])),
  loopback: values => Number(values.loopback_loops) > 1,
  sd_upscale: values => values.sd_upscale && values.sd_upscale !== "None",
};
function mark() {
  for (const [name, acts] of Object.entries(ACTING)) find(`#${TAB}_${name}_fold`)?.classList.toggle("acting", Boolean(acts(form().values)));
}

function outcome([width, height]) {
  const place = find(`#${TAB}_outcome .outcome`), [left, right, up, down] = SIDES.map(side => Number(form().values[`outpaint_${side}`]) || 0);
  const grown = [width + left + right, height + up + down];
  if (place) place.textContent = left + right + up + down ? `The picture grows from ${width} × ${height} to ${grown.join(" × ")} pixels.` : `The picture stays ${width} × ${height}: nothing is added.`;
}

function gone(id) {
  if (held("init_image") !== id) return;
  form().apply({ init_image: "", mask: "", paint: "" });
  form().mark([{ field: "init_image", message: "is no longer there; choose the picture again" }]);
}

// Generate waits for a picture on its way and for the newest stroke. An error here keeps Gradio from sending the job:
// what is missing would be missing in the picture. The form has told why it is.
export async function complete(names, values) {
  const pictures = ["init_image", "mask", "paint", "editor_mode"], sides = arriving ? ["width", "height"] : [];
  if (arriving && !await arriving) throw new Error("The picture did not reach the server.");
  if (!await settled()) throw new Error("What is painted did not reach the server.");
  const known = { ...form().values, ...form().pending };
  return names.map((name, i) => pictures.includes(name) && name in known ? held(name) : sides.includes(name) && name in known ? known[name] : values[i]);
}

// ---- wiring, when the tab is opened for the first time ----

const acts = {
  another: () => find(".drop-file", box()).click(),
  clear,
  remove: () => form().replace({ init_image: "", mask: "", paint: "" }, "The picture is removed."),
  blank,
  camera: async () => { const file = await photograph(); if (file) keep(file); },
};

function chosen(event) {
  const [first] = event.target.files;
  if (first) (event.target.matches(".mask-file") ? keepMask : keep)(first);
  event.target.value = "";
}

// A file, or a picture of this page that is dragged by its link.
async function dropped(transfer) {
  const [file] = await filesOf(transfer);
  if (file) keep(file);
}

document.addEventListener("change", event => { if (event.target.matches?.(`#${TAB}_init_image .drop-file, .mask-file`)) chosen(event); }, true);
document.addEventListener("click", event => acts[event.target.closest?.(`#${TAB}_init_image [data-act]`)?.dataset.act]?.());
dropZone(`#${TAB}_init_image`, dropped);
document.addEventListener("paste", event => {
  const pasted = [...event.clipboardData?.files ?? []].find(one => one.type.startsWith("image/"));
  if (!pasted || currentTab() !== TAB) return;
  event.preventDefault();
  keep(pasted);
});
const look = () => { describe(); mark(); };
on("form", one => { if (one.tab === TAB) look(); });
for (const part of ["init_image .start-acts", "init_image .painter-stage", "sd_upscale_fold", "outcome .outcome"]) appeared(`#${TAB}_${part}`).then(look);    // made when they are opened
// Settings that name a mask are those of inpainting; what was painted belongs to the picture before.
on("reused", ({ form: one, request }) => {
  if (one.tab === TAB && "mask" in request) one.apply({ paint: "", editor_mode: request.mask ? INPAINT : PLAIN });
});

