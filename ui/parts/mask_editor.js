// The painter shows what the form names: a picture, and over it the mask or the paint. What is painted goes to the server
// shortly after a stroke, and at the latest when Generate asks for it.
import { appeared } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { sendFile } from "../scripts/http.js";
import { store, stored } from "../scripts/storage.js";
import { Painter } from "./painter/painter.js";
import { withRoot } from "../scripts/root.js";

export const PLAIN = "img2img", SKETCH = "Sketch", INPAINT = "Inpaint", BOTH = "Inpaint sketch";
const TAB = "img2img";
const MAKES = { [SKETCH]: "paint", [INPAINT]: "mask", [BOTH]: "paint" };      // what the brush makes: a field of the form
const PAUSE = 300;                  // ms after a stroke; another one within them is sent together with it
const TOOLS = "easel.painter";
export const SIDES = ["left", "right", "up", "down"];
const NOTHING = { picture: "", layer: "", name: "" };
let surrounded = Object.fromEntries(SIDES.map(side => [side, 0]));
let painter = null, shown = NOTHING, coming = NOTHING;      // what the painter shows, and what it is going to show
let unsent = null, failed = false, waiting = 0, work = Promise.resolve();

const form = () => formOf(TAB);
// What the form holds, also what is still on its way into it.
export const held = name => ({ ...form().values, ...form().pending })[name] || "";
export const mode = () => held("editor_mode") || PLAIN;
export const made = () => MAKES[mode()] ?? "";
const same = (a, b) => a.picture === b.picture && a.layer === b.layer && a.name === b.name;

function named() {
  const picture = held("init_image"), name = made();
  return picture ? { picture, layer: name && held(name), name } : NOTHING;
}

function address({ picture, layer, name }) {
  if (!layer) return "";
  return name === "mask" ? withRoot(`/easel/upload/${layer}/layer.png?over=${picture}`) : withRoot(`/easel/upload/${layer}.png`);
}

// ---- the form's picture in the painter ----

async function sync() {
  const wanted = named();
  if (!painter || same(wanted, coming)) return;
  coming = wanted;
  if (!wanted.picture) { shown = wanted; return; }
  try {
    await painter.show(withRoot(`/easel/upload/${wanted.picture}.png`), address(wanted), wanted.name);
    if (coming === wanted) shown = wanted;
  } catch (error) {
    if (error.name !== "EncodingError") throw error;        // that: no picture lies there any more, as picture.js tells
    if (coming === wanted) coming = shown = NOTHING;
  }
}

async function start() {
  const place = await appeared(`#${TAB}_painter .painter-place`);
  const memory = { read: () => stored(localStorage, TOOLS), write: tools => store(localStorage, TOOLS, tools) };
  painter = new Painter(place, { memory, ended, leaving });
  sync();
  surround();
}

// ---- what is painted, on its way to the server ----

function ended() {
  unsent = shown;
  clearTimeout(waiting);
  waiting = setTimeout(send, PAUSE);
}

// The painter is about to show something else. Paint that was replaced from outside is not wanted any more.
function leaving() {
  failed = false;
  if (unsent?.picture === coming.picture && unsent?.name === coming.name) unsent = null;
  else send();
}

function send() {
  painter?.finish();
  clearTimeout(waiting);
  if (!unsent) return;
  failed = false;
  const { picture, name } = unsent, cut = painter.cutOut();
  unsent = null;
  work = work.then(() => keep(picture, name, cut));
}

async function keep(picture, name, { left, top, png }) {
  const former = held(name), where = new URLSearchParams({ left, top, former, mask: name === "mask" });
  const current = () => held("init_image") === picture && held(name) === former;
  if (!current()) return;
  try {
    const { id } = await sendFile(`/easel/upload/${picture}/paint?${where}`, await png);
    if (current() && id !== former) taken(picture, name, id);
  } catch (error) {
    failed = shown.picture === picture && shown.name === name;
    if (failed) unsent ??= shown;       // goes with the next stroke, or with Generate
    form().mark([{ field: "init_image", message: error.message }]);
  }
}

function taken(picture, name, id) {
  if (shown.picture === picture && shown.name === name && same(shown, coming)) shown = coming = { picture, name, layer: id };
  form().apply({ [name]: id });
}

// Takes away what the mode's brush has made.
export function clear() {
  form().apply({ [made()]: "" });
}

// Sends what is painted. Whether all of it is on the server, and the form knows its id; if not, the form tells why.
export async function settled() {
  send();
  await work;
  return !failed;
}

// The frame shows what outpainting adds, in the modes that do it.
function surround() {
  const adds = [PLAIN, INPAINT].includes(mode()) && held("init_image"), values = form().values;
  const around = Object.fromEntries(SIDES.map(side => [side, adds ? Number(values[`outpaint_${side}`]) || 0 : 0]));
  if (!painter || SIDES.every(side => around[side] === surrounded[side])) return;
  surrounded = around;
  painter.surround(around);
}

on("form", one => { if (one.tab === TAB) { sync(); surround(); } });
document.addEventListener("visibilitychange", () => { if (document.hidden) send(); });
start();
