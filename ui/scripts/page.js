// The page as a whole: notices, the worker's state, sliders beside numbers, keys, and the start.
(() => {
  const { find, findAll, fields, make, on, type, appeared } = easel;
  let notices = [], lost = false, passing = [];

  function renderNotices() {
    const texts = [...(lost ? ["The connection to Easel is lost; trying again. What you typed is safe, and queued pictures go on."] : []), ...notices, ...passing];
    find("#notices")?.replaceChildren(...[...new Set(texts)].map(text => make("p", { class: "notice" }, text)));
  }

  // Where Gradio missed the server too, it reloads the page seconds after the server is back, under a click perhaps: sooner is safer.
  const gradioReloads = () => findAll(".toast-wrap").some(toast => toast.textContent.includes("Connection to the server was lost"));

  easel.note = (text, milliseconds) => {
    passing.push(text);
    renderNotices();
    setTimeout(() => { passing = passing.filter(other => other !== text); renderNotices(); }, milliseconds);
  };

  const STATES = { starting: "Starting", ready: "Ready", loading: "Loading the model", restarting: "Restarting", failed: "Not working" };
  function renderWorker(workers) {
    const worker = workers[0], place = find("#worker");
    if (!place || !worker) return;
    place.dataset.state = worker.state;
    place.textContent = STATES[worker.state] ?? worker.state;
    place.title = [worker.device, worker.dtype, worker.checkpoint].filter(Boolean).join(" · ");
    if (worker.device) place.append(make("span", { class: "worker-device" }, worker.device));
  }

  // Every number with a slider gets one below; the number stays the field, the slider is for the mouse and the thumb.
  function dress() {
    startResults();
    for (const box of findAll(".field:not([data-dressed])")) {
      const name = box.id.replace(/^[a-z0-9]+_(?=.)/, ""), field = fields[name] ?? fields[box.id];
      if (!field || !find("input, textarea", box)) continue;
      box.dataset.dressed = name;
      if (field.help) box.title = field.help;
      if (field.slider) addSlider(box, field.slider, name);
      const counter = find(`#${box.id}_tokens`);
      if (counter) find("textarea", box).setAttribute("aria-describedby", counter.id);
    }
    for (const fold of findAll(".gr-accordion > button")) {
      fold.setAttribute("aria-expanded", fold.classList.contains("open"));
      find(".icon", fold)?.setAttribute("aria-hidden", "true");
    }
    for (const button of findAll("button.icon:not([title])")) button.title = button.textContent.trim();
  }

  function addSlider(box, { min, max, step }, name) {
    const input = find("input", box);
    const slider = make("input", { type: "range", class: "slider", min, max, step, tabindex: -1, "aria-hidden": "true" });
    slider.value = input.value || min;
    fill(slider, slider.value);
    slider.addEventListener("input", () => type(input, slider.value));
    box.append(slider);
  }

  function syncSliders(form) {
    for (const slider of findAll(`[id^="${form.tab}_"] > .slider`)) {
      const value = form.values[slider.parentElement.dataset.dressed];
      if (value != null && document.activeElement !== slider) slider.value = value;
      fill(slider, value);
    }
  }

  function fill(slider, value) {
    const share = (Number(value ?? slider.min) - slider.min) / (slider.max - slider.min);
    slider.style.setProperty("--share", Math.min(1, Math.max(0, share)));
  }

  const press = id => { const button = find(id); if (button && !button.disabled) button.click(); };
  function keys(event) {
    if (event.isComposing || find("dialog:modal")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); press(`#${easel.tab()}_generate`); }
    else if (event.key === "Enter" && event.altKey) { event.preventDefault(); press(`#${easel.tab()}_skip`); }
    else if (event.key === "Escape" && event.target.getAttribute?.("aria-expanded") !== "true") press(`#${easel.tab()}_interrupt`);
  }

  on("live", event => {
    if (event.type !== "status") return;
    notices = event.notices ?? [];
    renderWorker(event.workers ?? []);
    renderNotices();
  });
  on("connected", () => {
    if (lost && gradioReloads()) return location.reload();
    lost = false;
    renderNotices();
  });
  on("lost", () => { lost = true; renderNotices(); });
  on("form", syncSliders);
  document.addEventListener("keydown", keys, true);

  let due = false;
  new MutationObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; dress(); });
  }).observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["style"] });

  // A tab's results begin to live when the tab is first opened.
  function startResults() {
    for (const place of findAll(".results:not([data-started])")) {
      place.dataset.started = true;
      easel.results(place.closest("[id$='_results']").id.replace(/_results$/, "")).start(place);
      easel.queue.start(place);
    }
  }

  appeared(".results").then(async () => {
    await appeared("#txt2img_skip");
    easel.live.open();
  });
})();
