// The painter's keys, AUTOMATIC1111's first. They count while the mouse is over the painter or the focus is in it, and never while somebody types.
import { shortcuts } from "../../scripts/keys.js";

export const TITLE = "Painter, while the mouse is over it or the focus in it";
const LARGER = 1.15, CLOSER = 1.25, STEP = 40;      // factors of size and scale; CSS pixels of an arrow key

const painters = [];
const at = () => painters.find(painter => painter.attended());
// A control has its own use for these.
const own = event => event.target.closest?.("button, input, a, summary") && (event.key === " " || event.key.startsWith("Arrow"));

shortcuts(TITLE, [
  ["B", "Brush", () => at().pick("brush")],
  ["E", "Eraser", () => at().pick("eraser")],
  ["G", "Fill an area", () => at().pick("fill")],
  ["I", "Take a colour from the picture", () => at().pick("pick")],
  ["Alt+click", "Take a colour from the picture"],
  [["[", "Q"], "Smaller brush", () => at().resize(1 / LARGER)],
  [["]", "W"], "Larger brush", () => at().resize(LARGER)],
  ["Ctrl+wheel", "Size of the brush"],
  ["Ctrl+Z", "Undo", () => at().undo()],
  [["Ctrl+Y", "Ctrl+Shift+Z"], "Redo", () => at().redo()],
  [["+", "="], "Zoom in", () => at().zoom(CLOSER)],
  ["-", "Zoom out", () => at().zoom(1 / CLOSER)],
  [["Alt+wheel", "Shift+wheel"], "Zoom; in full screen the wheel alone does it"],
  ["R", "Show the whole picture", () => at().fit()],
  ["V", "Move the picture", () => at().pick("move")],
  [["F", "Space"], "Move the picture while the key is held", () => at().hold(true)],
  ["ArrowLeft", "Move to the left", () => at().pan(STEP, 0)],
  ["ArrowRight", "Move to the right", () => at().pan(-STEP, 0)],
  ["ArrowUp", "Move up", () => at().pan(0, STEP)],
  ["ArrowDown", "Move down", () => at().pan(0, -STEP)],
  ["S", "Full screen and back", () => at().fullScreen()],
  ["Two fingers", "Zoom and move the picture"],
  ["Pen", "Paints as thick as it is pressed; its other end erases"],
  ["?", "Keys of the painter", () => at().help()],
], { here: event => !own(event) && Boolean(at()) });

// The painter carries out what a key names, and tells with `attended` whether keys are meant for it.
export function listen(painter) {
  painters.push(painter);
  addEventListener("keyup", event => { if (["f", " "].includes(event.key.toLowerCase())) painter.hold(false); }, true);
  addEventListener("blur", () => painter.hold(false));
}
