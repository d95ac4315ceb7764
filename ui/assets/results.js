// The pictures: the strip of thumbnails, the one shown, its text and what can be done with it.
(() => {
  const { find, findAll, make, ask, on, say } = easel;
  const PAGE = 60;
  const infos = new Map();
  let root, images = [], chosen = null, drawing = null, complete = false;   // chosen: an image id, or null to follow the newest

  const shown = () => images.find(image => image.id === chosen) ?? images[0];
  const described = image => `${image.prompt || "Picture without a prompt"} (seed ${image.seed})`;

  async function info(image) {
    if (!infos.has(image.id)) infos.set(image.id, ask(`/easel/image/${image.id}/info`).catch(error => { infos.delete(image.id); throw error; }));
    return infos.get(image.id);
  }

  async function load(before) {
    const answer = await ask(`/easel/images?limit=${PAGE}${before ? `&before=${encodeURIComponent(before)}` : ""}`);
    const fresh = answer.images.filter(image => !known(image.id));
    images = before ? [...images, ...fresh] : [...fresh, ...images];
    complete = answer.images.length < PAGE;
    render();
  }

  const known = id => images.some(image => image.id === id);

  async function add(image) {
    if (known(image.id)) return;
    const whole = await info(image).catch(() => ({}));
    if (known(image.id)) return;
    images.unshift({ ...image, ...whole });
    say(`Picture finished, seed ${image.seed}.`);
    if (drawing?.job === image.job) drawing.picture = "";
    render();
  }

  // A preview of another picture is old news until its number changes.
  function preview(live) {
    if (images.some(image => image.job === live.job && image.index === live.index)) return;
    const next = { job: live.job, index: live.index, stale: drawing?.stale };
    if (drawing && (drawing.job !== live.job || drawing.index !== live.index)) next.stale = drawing.job === live.job ? drawing.count : 0;
    next.count = live.preview;
    next.picture = live.preview && live.preview !== next.stale ? `/easel/preview/${live.job}?n=${live.preview}` : "";
    if (drawing?.picture === next.picture && drawing.job === next.job && drawing.index === next.index) return;
    drawing = next;
    render();
  }

  function ended(job) {
    if (drawing?.job !== job) return;
    drawing = null;
    render();
  }

  function choose(id, focus) {
    chosen = id;
    render();
    if (focus) find('.strip [aria-selected="true"]', root)?.focus();
  }

  function render() {
    if (!root) return;
    renderStage();
    renderStrip();
    renderInfo();
    find(".older", root).hidden = complete || !images.length;
  }

  async function renderStage() {
    const following = chosen === null && drawing?.picture;
    const image = shown();
    const button = find(".stage-picture", root), picture = find("img", button);
    find(".stage-empty", root).hidden = Boolean(following || image);
    button.hidden = !(following || image);
    button.classList.toggle("draft", Boolean(following));
    if (button.hidden) return renderExamples();
    const url = following ? drawing.picture : image.url;
    button.dataset.want = url;
    const label = following ? "Preview of the picture being drawn" : described(image);
    await decoded(url);
    if (button.dataset.want !== url) return;
    if (picture.getAttribute("src") !== url) picture.src = url;
    picture.alt = label;
  }

  function decoded(url) {
    const loader = new Image();
    loader.src = url;
    return loader.decode().catch(() => {});
  }

  function renderExamples() {
    const examples = easel.examples();
    find(".examples", root).hidden = !examples.length;
    find(".examples ul", root).replaceChildren(...examples.map(text => make("li", {},
      make("button", { type: "button", class: "example", onclick: () => easel.form("txt2img").apply({ prompt: text }) }, text))));
  }

  function renderStrip() {
    const strip = find(".strip", root);
    const wanted = [...(drawing ? [tile(null)] : []), ...images.map(tile)];
    strip.hidden = wanted.length < 2;
    const active = strip.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    if (wanted.length !== strip.children.length || wanted.some((one, i) => one !== strip.children[i])) strip.replaceChildren(...wanted);
    const current = chosen === null ? (drawing ? "live" : images[0]?.id) : chosen;
    for (const one of strip.children) {
      one.setAttribute("aria-selected", String(one.dataset.id === current));
      one.tabIndex = one.dataset.id === current ? 0 : -1;
    }
    if (active) find(`[data-id="${CSS.escape(active)}"]`, strip)?.focus({ preventScroll: true });
  }

  const tiles = new Map();
  function tile(image) {
    const id = image?.id ?? "live";
    if (!tiles.has(id)) tiles.set(id, make("div", { role: "option", class: `tile${image ? "" : " live"}`, "data-id": id },
      make("img", image ? { src: image.thumb ?? `${image.url}/thumb`, loading: "lazy", alt: described(image) } : { alt: "Being drawn" })));
    const made = tiles.get(id);
    if (!image) liveTile(find("img", made));
    return made;
  }

  function liveTile(picture) {
    if (drawing.picture && picture.getAttribute("src") !== drawing.picture) picture.src = drawing.picture;
    if (!drawing.picture) picture.removeAttribute("src");
  }

  async function renderInfo() {
    const image = chosen === null && drawing?.picture ? null : shown();
    find(".picture-acts", root).hidden = find(".infotext", root).hidden = !image;
    if (!image) return;
    const link = find('[data-act="download"]', root);
    link.href = image.url;
    link.download = image.name ?? "";
    const text = find(".infotext", root);
    if (text.dataset.id === image.id) return;
    text.dataset.id = image.id;
    try { fillInfo(text, (await info(image)).infotext, image.id); } catch (error) { fillInfo(text, error.message, image.id); text.dataset.id = ""; }
  }

  function fillInfo(text, infotext, id) {
    if (text.dataset.id !== id) return;
    const [, prompt, negative, settings] = /^([^]*?)(?:(?:^|\n)Negative prompt:([^]*?))?(?:(?:^|\n)(Steps: [^]*))?$/.exec(infotext);
    find(".infotext-prompt", text).textContent = prompt.trim();
    find(".infotext-negative", text).textContent = negative?.trim() ? `Negative prompt: ${negative.trim()}` : "";
    find(".infotext-settings", text).textContent = settings?.trim() ?? "";
  }

  const acts = {
    async reuse() { const request = await easel.results.request(); if (request) easel.form("txt2img").reuse(request); },
    async copy() { await copied((await info(shown())).infotext); say("Copied."); },
    open() { easel.lightbox.open(shown()); },
  };

  async function copied(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const box = make("textarea", {}, text);   // plain http in a local network has no clipboard
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }

  function byKey(event) {
    const order = findAll(".tile", root), at = order.indexOf(event.target.closest(".tile"));
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: order.length - 1 }[event.key];
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); acts.open(); return; }
    if (to === undefined || !order[to] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    pick(order[to].dataset.id, true);
  }
  const pick = (id, focus) => choose(id === "live" || (!drawing && id === images[0]?.id) ? null : id, focus);

  function start(element) {
    root = element;
    find(".strip", root).addEventListener("click", event => { const one = event.target.closest(".tile"); if (one) pick(one.dataset.id); });
    find(".strip", root).addEventListener("dblclick", () => acts.open());
    find(".strip", root).addEventListener("keydown", byKey);
    find(".stage-picture", root).addEventListener("click", () => acts.open());
    find(".older", root).addEventListener("click", () => load(images.at(-1)?.id));
    for (const button of findAll("button[data-act]", root)) button.addEventListener("click", () =>
      acts[button.dataset.act]().catch(error => easel.note(error.message, 8000)));
    render();
  }

  on("connected", () => load().catch(() => {}));
  on("submitted", () => choose(null));
  on("facts", () => render());
  on("form", () => { if (root && !images.length) renderExamples(); });
  on("live", event => {
    if (event.type === "progress") preview(event);
    if (event.type === "image") add({ ...event.image, job: event.job });
    if (event.type === "job" && event.state !== "running") ended(event.id);
    if (event.type === "queue" && drawing && !event.jobs.some(job => job.id === drawing.job && job.state === "running")) ended(drawing.job);
  });

  easel.results = {
    start, choose,
    list: () => images,
    seed: () => shown()?.seed,
    request: async () => shown() && (await info(shown())).request,
    described,
  };
})();
