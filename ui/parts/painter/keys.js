// The painter's keys, AUTOMATIC1111's first. They count while the mouse is over the painter or the focus is in it, and never while somebody types.

const TYPING = 'textarea, select, [contenteditable], input:not([type="range"], [type="checkbox"], [type="color"], [type="radio"])';
const LARGER = 1.15, CLOSER = 1.25, STEP = 40;      // factors of size and scale; CSS pixels of an arrow key

// `does` carries out what a key names; `here` tells whether keys are meant for this painter.
export function listen(here, does) {
  const plain = {
    b: () => does.pick("brush"), e: () => does.pick("eraser"), g: () => does.pick("fill"), i: () => does.pick("pick"), v: () => does.pick("move"),
    "[": () => does.resize(1 / LARGER), "]": () => does.resize(LARGER), q: () => does.resize(1 / LARGER), w: () => does.resize(LARGER),
    r: () => does.fit(), s: () => does.fullScreen(), "+": () => does.zoom(CLOSER), "=": () => does.zoom(CLOSER), "-": () => does.zoom(1 / CLOSER),
    f: () => does.hold(true), " ": () => does.hold(true), "?": () => does.help(),
    arrowleft: () => does.pan(STEP, 0), arrowright: () => does.pan(-STEP, 0), arrowup: () => does.pan(0, STEP), arrowdown: () => does.pan(0, -STEP),
  };
  const withControl = { z: event => event.shiftKey ? does.redo() : does.undo(), y: () => does.redo() };

  function pressed(event) {
    const key = event.key.toLowerCase(), third = event.getModifierState("AltGraph");     // many keyboards have brackets on their third level
    const control = !third && (event.ctrlKey || event.metaKey);
    const own = event.target.closest?.("button, input, a, summary");     // a control has its own use for these
    if (!here() || event.altKey && !third || event.isComposing || event.target.matches?.(TYPING)) return;
    if (own && (key === " " || key.startsWith("arrow"))) return;
    const act = control ? withControl[key] : plain[key];
    if (!act || act(event) === false) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  addEventListener("keydown", pressed, true);
  addEventListener("keyup", event => { if (["f", " "].includes(event.key.toLowerCase())) does.hold(false); }, true);
  addEventListener("blur", () => does.hold(false));
}
