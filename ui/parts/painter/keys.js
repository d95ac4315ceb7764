// The painter's keys, AUTOMATIC1111's first. They count while the mouse is over the painter or the focus is in it, and never while somebody types.
import { shortcuts } from "../../scripts/keys.js";

export const TITLE = "Painter, while the mouse is over it or the focus in it";
const LARGER = 1.15, CLOSER = 1.25, STEP = 40;      // factors of size and scale; CSS pixels of an arrow key

// `does` carries out what a key names, and tells with `attended` whether keys are meant for it.
export function listen(does) {
  // A control has its own use for these.
  const own = event => event.target.closest?.("button, input, a, summary") && (event.key === " " || event.key.startsWith("Arrow"));

  shortcuts(TITLE, [
    ["B", "Brush", () => does.pick("brush")],
    ["E", "Eraser", () => does.pick("eraser")],
    ["G", "Fill an area", () => does.pick("fill")],
    ["I", "Take a colour from the picture", () => does.pick("pick")],
    ["Alt+click", "Take a colour from the picture"],
    [["[", "Q"], "Smaller brush", () => does.resize(1 / LARGER)],
    [["]", "W"], "Larger brush", () => does.resize(LARGER)],
    ["Ctrl+wheel", "Size of the brush"],
    ["Ctrl+Z", "Undo", () => does.undo()],
    [["Ctrl+Y", "Ctrl+Shift+Z"], "Redo", () => does.redo()],
    [["+", "="], "Zoom in", () => does.zoom(CLOSER)],
    ["-", "Zoom out", () => does.zoom(1 / CLOSER)],
    [["Alt+wheel", "Shift+wheel"], "Zoom; in full screen the wheel alone does it"],
    ["R", "Show the whole picture", () => does.fit()],
    ["V", "Move the picture", () => does.pick("move")],
    [["F", "Space"], "Move the picture while the key is held", () => does.hold(true)],
    ["ArrowLeft", "Move to the left", () => does.pan(STEP, 0)],
    ["ArrowRight", "Move to the right", () => does.pan(-STEP, 0)],
    ["ArrowUp", "Move up", () => does.pan(0, STEP)],
    ["ArrowDown", "Move down", () => does.pan(0, -STEP)],
    ["S", "Full screen and back", () => does.fullScreen()],
    ["Two fingers", "Zoom and move the picture"],
    ["Pen", "Paints as thick as it is pressed; its other end erases"],
    ["?", "Keys of the painter", () => does.help()],
  ], { here: event => !own(event) && does.attended() });
  addEventListener("keyup", event => { if (["f", " "].includes(event.key.toLowerCase())) does.hold(false); }, true);
  addEventListener("blur", () => does.hold(false));
}
