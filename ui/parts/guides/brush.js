// A sheet to paint on in black or white: a unit's region, or what a preprocessor has made.
import { make } from "../../scripts/dom.js";
import { note } from "../notices.js";
import { upload } from "../uploads.js";
import { withRoot } from "../../scripts/root.js";

const LONGEST = 1024;       // pixels of a canvas without a picture

// Resolves with the id of what was painted, or null. `under` is a picture to paint over, else the sheet begins black;
// `beside` is one that shows through, for the eye only; `lies` is its size there, as CSS has it.
export async function paint(title, { under = "", beside = "", lies = "cover", size = [512, 512], mask = false }) {
  const canvas = make("canvas", { class: "brush-canvas", "aria-label": title, tabindex: 0 }), context = canvas.getContext("2d");
  await prepare(canvas, context, under, size);
  const stage = make("span", { class: "brush-stage" }, canvas);
  stage.style.setProperty("--ratio", canvas.width / canvas.height);
  if (beside) Object.assign(stage.style, { backgroundImage: `url(${withRoot(`/easel/upload/${beside}.png`)})`, backgroundSize: lies });
  stage.classList.toggle("through", Boolean(beside));
  const width = make("input", { type: "range", min: 1, max: 200, value: Math.max(4, Math.round(canvas.width / 16)), "aria-label": "Brush size" });
  const white = make("button", { type: "button", class: "act", "aria-pressed": "true", onclick: () => ink(true) }, "White"), black = make("button", { type: "button", class: "act", "aria-pressed": "false", onclick: () => ink(false) }, "Black");
  const ink = on => { white.setAttribute("aria-pressed", String(on)); black.setAttribute("aria-pressed", String(!on)); };
  const clear = make("button", { type: "button", class: "act", onclick: () => { context.fillStyle = "#000"; context.fillRect(0, 0, canvas.width, canvas.height); } }, "All black");
  const dialog = make("dialog", { class: "sheet brush-sheet", "aria-label": title }, make("h2", {}, title), stage,
    make("div", { class: "brush-tools" }, white, black, make("label", {}, "Brush size", width), clear),
    make("div", { class: "brush-end" }, make("button", { type: "button", class: "act", value: "", onclick: () => dialog.close("") }, "Cancel"), make("button", { type: "button", class: "act strong", onclick: () => dialog.close("keep") }, "Use it")));
  strokes(canvas, context, () => [Number(width.value), white.getAttribute("aria-pressed") === "true" ? "#fff" : "#000"]);
  document.body.append(dialog);
  dialog.showModal();
  const kept = await new Promise(resolve => dialog.addEventListener("close", () => resolve(dialog.returnValue === "keep")));
  dialog.remove();
  return kept ? send(canvas, mask) : null;
}

async function prepare(canvas, context, under, [width, height]) {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  if (under) {
    const picture = new Image();
    picture.src = withRoot(`/easel/upload/${under}.png`);
    await picture.decode();
    Object.assign(canvas, { width: picture.naturalWidth, height: picture.naturalHeight });
    context.drawImage(picture, 0, 0);
  } else context.fillRect(0, 0, canvas.width, canvas.height);
}

function strokes(canvas, context, brush) {
  let last = null;
  const pointOf = event => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  };
  const draw = event => {
    if (!last) return;
    const [width, colour] = brush(), next = pointOf(event);
    Object.assign(context, { lineWidth: width, lineCap: "round", strokeStyle: colour, fillStyle: colour });
    context.beginPath();
    context.arc(...next, width / 2, 0, 2 * Math.PI);    // a line of no length may leave nothing: a click leaves this dot
    context.fill();
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...next);
    context.stroke();
    last = next;
  };
  canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); last = pointOf(event); draw(event); });
  canvas.addEventListener("pointermove", draw);
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });
}

async function send(canvas, mask) {
  try {
    const file = await new Promise(resolve => canvas.toBlob(resolve, "image/png"));
    return (await upload(file, mask)).id;
  } catch (error) { note(error.message, 8000); return null; }
}
