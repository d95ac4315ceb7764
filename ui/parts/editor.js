// The editor is a view of what the form names: a picture, and over it the mask or the paint. What is painted goes to the
// server after every stroke, and at the latest when Generate asks for it.
import { appeared, find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { sendFile } from "../scripts/http.js";
import { measured } from "./uploads.js";

export const PLAIN = "img2img", SKETCH = "Sketch", INPAINT = "Inpaint", BOTH = "Inpaint sketch";
const TAB = "img2img";
const MAKES = { [SKETCH]: "paint", [INPAINT]: "mask", [BOTH]: "paint" };      // what the brush makes: a field of the form
const BRUSHES = { paint: "sketch", mask: "mask" };
const WAKING = [0, 1000, 2500, 5000], SETTLING = 400, PAUSE = 350;   // ms
const READY = `#${TAB}_editor .top-panel button`;   // the editor's tools come when it can take a picture
const NOTHING = { picture: "", layer: "" };
let shown = NOTHING, coming = NOTHING;   // what the editor shows, and what it is going to show
let touched = false, dirty = false, brush = "mask", work = Promise.resolve();

const form = () => formOf(TAB);
const later = pause => new Promise(resolve => setTimeout(resolve, pause));
const held = name => form().values[name] || "";
export const mode = () => held("editor_mode") || PLAIN;
export const made = () => MAKES[mode()] ?? "";
const same = (a, b) => a.picture === b.picture && a.layer === b.layer;

function named() {
  const picture = held("init_image"), id = made() && held(made());
  return picture ? { picture, layer: address(picture, made(), id) } : NOTHING;
}

function address(picture, name, id) {
  if (!id) return "";
  return name === "mask" ? `/easel/upload/${id}/layer.png?over=${picture}` : `/easel/upload/${id}.png`;
}

// ---- the form's picture in the editor ----

const file = url => ({ path: url, url, orig_name: "picture.png", mime_type: "image/png", meta: { _type: "gradio.FileData" } });
export function value() {
  const { picture, layer } = shown;
  return picture ? { background: file(`/easel/upload/${picture}.png`), layers: layer ? [file(layer)] : [], composite: null } : null;
}

function sync() {
  takeBrush();
  const show = find(`#${TAB}_show`), wanted = named();
  if (!show || !find(READY) || same(wanted, coming)) return;
  present(show, wanted);
}

// The canvas wakes later than its tools, at a time that nothing tells, and forgets what it was given before.
async function again() {
  fit();
  if (touched || !named().picture || await filled(named().picture)) return;
  coming = NOTHING;
  sync();
}

async function filled(picture) {
  const [width, height] = await measured(picture).catch(() => []);
  return window.editor?.width === width && window.editor?.height === height;
}

// While it wakes it also misses a change of its height; the next one it notices.
function fit() {
  const canvas = find(`#${TAB}_editor canvas`), room = canvas?.parentElement;
  if (!room?.clientHeight || Math.abs(canvas.clientHeight - room.clientHeight) < 2) return;
  room.style.height = `${room.clientHeight - 1}px`;
  setTimeout(() => { room.style.height = ""; }, 100);
}

// Paint is laid on an empty canvas: the editor places it by the largest picture that it has had since it was empty.
async function present(show, wanted) {
  coming = wanted;
  if (shown.picture && (wanted.layer || shown.layer)) {
    shown = NOTHING;
    show.click();
    await later(SETTLING);
    if (coming !== wanted) return;
  }
  shown = wanted;
  show.click();
}

// A sketch has every colour, a mask has one; the editor forgets the person's size and colour when the brush changes.
function takeBrush() {
  const wanted = BRUSHES[made()] ?? brush, button = find(`#${TAB}_${wanted}_brush`);
  if (wanted === brush || !button || !find(READY)) return;
  brush = wanted;
  button.click();
}

// ---- what is painted, on its way to the server ----

// Only the layer, cut out: the editor's own way would send the whole picture back twice, seconds of work for a large one.
function painted({ width, height, app, layer_manager, image_container }) {
  const frame = image_container.getLocalBounds().rectangle.clone();
  Object.assign(frame, { x: 0, y: 0, width, height });
  const { pixels } = app.renderer.extract.pixels({ target: layer_manager.get_layers()[0].container, resolution: 1, frame });
  return cutOut(pixels, Math.round(width), Math.round(height));
}

function cutOut(pixels, width, height) {
  const dots = new Uint32Array(pixels.buffer, pixels.byteOffset, width * height);
  const filled = y => { for (let i = y * width; i < (y + 1) * width; i++) if (dots[i]) return true; return false; };
  let top = 0, bottom = height, left = width, right = 0;
  while (top < height && !filled(top)) top++;
  if (top === height) return { left: 0, top: 0, image: new ImageData(1, 1) };
  while (!filled(bottom - 1)) bottom--;
  for (let y = top; y < bottom; y++) {
    for (let x = 0; x < left; x++) if (dots[y * width + x]) left = x;
    for (let x = width - 1; x >= right; x--) if (dots[y * width + x]) right = x + 1;
  }
  const image = new ImageData(right - left, bottom - top);
  for (let y = top; y < bottom; y++) {
    const start = 4 * (y * width + left);
    image.data.set(pixels.subarray(start, start + 4 * (right - left)), 4 * (y - top) * (right - left));
  }
  return { left, top, image: undone(image) };
}

// The graphics card keeps colours multiplied by their alpha.
function undone(image) {
  const { data } = image;
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3];
    if (alpha && alpha < 255) for (let c = i; c < i + 3; c++) data[c] = data[c] * 255 / alpha;
  }
  return image;
}

function png(image) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").putImageData(image, 0, 0);
  return new Promise(resolve => canvas.toBlob(resolve));
}

async function keep() {
  const name = made(), picture = held("init_image"), former = name && held(name), editor = window.editor;
  if (!dirty || !name || !picture || !editor?.layer_manager?.get_layers().length) return;
  for (let wait = 0; wait < 20 && !same(shown, named()); wait++) await later(100);
  if (!same(shown, named())) return;
  dirty = false;
  const { left, top, image } = painted(editor);
  const where = new URLSearchParams({ left, top, former, mask: name === "mask" });
  try {
    const { id } = await sendFile(`/easel/upload/${picture}/paint?${where}`, await png(image));
    if (held("init_image") === picture && id !== held(name)) taken(picture, name, id);
  } catch (error) {
    dirty = true;
    form().mark([{ field: "init_image", message: error.message }]);
  }
}

function taken(picture, name, id) {
  if (made() === name) shown = coming = { picture, layer: address(picture, name, id) };
  form().apply({ [name]: id });
}

const keepNow = () => work = work.then(keep);

// After anything that may have changed the layer it is looked at, twice: the canvas may lag behind the hand.
let waits = [], inside = false;
function edited() {
  dirty = true;
  waits.forEach(clearTimeout);
  waits = [[PAUSE, true], [6 * PAUSE, false]].map(([pause, more]) => setTimeout(async () => { dirty = true; await keepNow(); dirty ||= more; }, pause));
}

export async function settled() {
  await keepNow();
  for (let wait = 0; wait < 40 && Object.keys(form().pending).length; wait++) await later(25);
}

const inEditor = event => Boolean(event.target.closest?.(`#${TAB}_editor`));
document.addEventListener("pointerdown", event => { inside = inEditor(event); touched ||= inside; }, true);
for (const type of ["pointerup", "pointercancel"]) document.addEventListener(type, () => { if (inside) edited(); inside = false; }, true);
document.addEventListener("keyup", event => { if (inEditor(event)) edited(); }, true);
on("form", one => { if (one.tab === TAB) sync(); });
appeared(READY).then(() => { for (const wait of WAKING) setTimeout(again, wait); });
