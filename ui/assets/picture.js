// The picture to start from and its mask: chosen, dropped, pasted or sent here, shown in the editor, kept by the form.
(() => {
  const { find, sendFile, on, say } = easel;
  const TAB = "img2img", LARGEST = 64 * 2 ** 20, ROOMY = 1024 * 1024;
  const form = () => easel.form(TAB);
  const box = () => find(`#${TAB}_init_image`);
  const sizes = new Map();
  const WAKING = [0, 1000, 2500, 5000], SETTLING = 400, PAUSE = 350;   // ms
  const READY = `#${TAB}_editor button[aria-label="Undo"]`;   // the editor's tools come when it can take a picture
  const NOTHING = { init_image: "", mask: "" };
  let shown = NOTHING, coming = NOTHING;   // what the editor shows, and what it is going to show
  let touched = false;

  const named = () => ({ init_image: form().values.init_image || "", mask: form().values.mask || "" });
  const same = (a, b) => a.init_image === b.init_image && a.mask === b.mask;

  // ---- from outside to the server ----

  async function upload(file, mask) {
    if (file.size > LARGEST) throw new Error(`The file is larger than ${LARGEST / 2 ** 20} MB.`);
    const kept = await sendFile(`/easel/upload${mask ? "?mask=true" : ""}`, file);
    sizes.set(kept.id, [kept.width, kept.height]);
    return kept;
  }

  async function keep(file) {
    const kept = await tried("init_image", () => upload(file));
    if (!kept) return;
    form().apply({ init_image: kept.id, mask: "", ...fittingSize(kept) });
    say(`Picture of ${kept.width} by ${kept.height} pixels taken.`);
  }

  async function keepMask(file) {
    const kept = await tried("mask", () => upload(file, true));
    if (!kept) return;
    form().apply({ mask: kept.id });
    say("Mask taken.");
  }

  async function tried(field, act) {
    form().unmark(field);
    box()?.classList.add("busy");
    try { return await act(); }
    catch (error) { form().mark([{ field, message: error.message }]); }
    finally { box()?.classList.remove("busy"); }
  }

  // A finished picture (its `url`) or one from outside (its `file`), with its settings.
  async function send(image, request) {
    await easel.open(TAB);
    const kept = await tried("init_image", async () => upload(image.file ?? await (await fetch(image.url)).blob()));
    if (kept) form().reuse({ ...request, init_image: kept.id, mask: "", width: multiple(kept.width), height: multiple(kept.height) });
  }

  // ---- sizes ----

  const multiple = length => Math.min(8192, Math.max(64, Math.round(length / 8) * 8));

  // The model's own size gives way to the picture's shape; a size that the person chose stays.
  function fittingSize({ width, height }) {
    const own = form(), values = own.values;
    const untouched = ["width", "height"].every(name => Number(values[name]) === own.fitting(own.checkpoint, name));
    if (!untouched) return {};
    if (width * height <= ROOMY) return { width: multiple(width), height: multiple(height) };
    const [across, down] = easel.shape(values.width, values.height, width / height);
    return { width: across, height: down };
  }

  async function size(before) {
    const id = named().init_image;
    const own = id && await measured(id).catch(() => null);
    if (!own) { easel.note("There is no picture to take the size from.", 5000); return before; }
    return own.map(multiple);
  }

  async function measured(id) {
    if (!sizes.has(id)) {
      const picture = new Image();
      picture.src = `/easel/upload/${id}.png`;
      await picture.decode();
      sizes.set(id, [picture.naturalWidth, picture.naturalHeight]);
    }
    return sizes.get(id);
  }

  // ---- the editor shows what the form names ----

  const file = url => ({ path: url, url, orig_name: "picture.png", mime_type: "image/png", meta: { _type: "gradio.FileData" } });
  function value() {
    const { init_image, mask } = shown;
    if (!init_image) return null;
    const layers = mask ? [file(`/easel/upload/${mask}/layer.png?over=${init_image}`)] : [];
    return { background: file(`/easel/upload/${init_image}.png`), layers, composite: null };
  }

  function sync() {
    describe();
    const show = find(`#${TAB}_show`), wanted = named();
    if (!show || !find(READY) || same(wanted, coming)) return;
    present(show, wanted);
  }

  // The canvas wakes later than its tools, at a time that nothing tells, and forgets what it was given before.
  function again() {
    if (touched) return;
    coming = NOTHING;
    sync();
  }

  // A mask is laid on an empty canvas: the editor places it by the largest picture that it has had since it was empty.
  async function present(show, wanted) {
    coming = wanted;
    if (wanted.mask && shown.init_image) {
      shown = NOTHING;
      show.click();
      await new Promise(resolve => setTimeout(resolve, SETTLING));
      if (coming !== wanted) return;
    }
    shown = wanted;
    show.click();
  }

  // After anything that may have changed the editor's content, the server looks at it; pauses between strokes are short.
  // Twice: on a slow machine the canvas may not have caught up with the hand the first time.
  let keeping = [], inside = false;
  const keepNow = () => { if (named().init_image) find(`#${TAB}_keep`)?.click(); };
  function edited() {
    keeping.forEach(clearTimeout);
    keeping = [PAUSE, 6 * PAUSE].map(pause => setTimeout(keepNow, pause));
  }
  const inEditor = event => Boolean(event.target.closest?.(`#${TAB}_editor`));

  async function describe() {
    const place = box(), { init_image, mask } = named();
    if (!place) return;
    place.classList.toggle("filled", Boolean(init_image));
    find(".start-facts", place).hidden = find(".start-acts", place).hidden = !init_image;
    find('[data-act="unmask"]', place).hidden = !mask;
    find(".start-mode", place).textContent = mask ? "With a mask: only the painted part changes." : "No mask: the whole picture changes.";
    if (!init_image) return;
    try { const [width, height] = await measured(init_image); find(".start-size", place).textContent = `${width} × ${height}`; }
    catch { gone(init_image); }
  }

  function gone(id) {
    if (named().init_image !== id) return;
    form().apply({ init_image: "", mask: "" });
    form().mark([{ field: "init_image", message: "is no longer there; choose the picture again" }]);
  }

  // What the server kept of the editor; old news when another picture has come since.
  function painted(kept) {
    if (!kept || kept.asked !== named().init_image) return;
    if (kept.problems) { form().mark(kept.problems); return; }
    const next = { init_image: kept.init_image, mask: kept.mask };
    shown = coming = next;
    if (!same(next, named())) form().apply(next);
  }

  // ---- wiring, when the tab is opened for the first time ----

  const acts = {
    another: () => find(".drop-file", box()).click(),
    unmask: () => form().apply({ mask: "" }),
    remove: () => form().apply({ init_image: "", mask: "" }),
  };

  function chosen(event) {
    const [first] = event.target.files;
    if (first) (event.target.matches(".mask-file") ? keepMask : keep)(first);
    event.target.value = "";
  }

  // A file, or a picture of this page that is dragged by its link.
  async function dropped(transfer) {
    const link = transfer.getData("text/uri-list").split("\n")[0];
    if (transfer.files[0]) return keep(transfer.files[0]);
    if (link.startsWith(`${location.origin}/easel/image/`)) keep(await (await fetch(link.replace(/\/thumb$/, ""))).blob());
  }

  function overBox(event) {
    const inside = event.target.closest?.(`#${TAB}_init_image`);
    box()?.classList.toggle("over", Boolean(inside) && event.type === "dragover");
    if (!inside) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.type === "drop") dropped(event.dataTransfer);
  }

  document.addEventListener("change", event => { if (event.target.matches?.(".drop-file, .mask-file")) chosen(event); }, true);
  document.addEventListener("click", event => acts[event.target.closest?.(".start-acts [data-act]")?.dataset.act]?.());
  document.addEventListener("pointerdown", event => { inside = inEditor(event); touched ||= inside; }, true);
  for (const type of ["pointerup", "pointercancel"]) document.addEventListener(type, () => { if (inside) edited(); inside = false; }, true);
  document.addEventListener("keyup", event => { if (inEditor(event)) edited(); }, true);
  for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, overBox, true);
  document.addEventListener("paste", event => {
    const pasted = [...event.clipboardData?.files ?? []].find(one => one.type.startsWith("image/"));
    if (!pasted || easel.tab() !== TAB) return;
    event.preventDefault();
    keep(pasted);
  });
  on("form", one => { if (one.tab === TAB) sync(); });
  easel.appeared(READY).then(button => {
    button.closest(".image-container")?.setAttribute("aria-label", "Paint the mask");
    for (const wait of WAKING) setTimeout(again, wait);
  });

  easel.picture = { shown: value, painted, size, send };
})();
