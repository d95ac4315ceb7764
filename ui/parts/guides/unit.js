// One unit: what to guide by, its picture with what the preprocessor makes of it, and its settings.
import { find, make } from "../../scripts/dom.js";
import { fields } from "../../scripts/fields.js";
import { formOf } from "../../scripts/form.js";
import { post } from "../../scripts/http.js";
import { translated } from "../../scripts/translate.js";
import { paint } from "./brush.js";
import { control, drawable, fill, offer } from "./controls.js";
import { FaceChoice } from "./face_choice.js";
import { choiceOf, filledBy, oddPair } from "./control_types.js";
import { MorePictures } from "./more_pictures.js";
import { LIES, PicturePlace } from "./picture_place.js";
import { movePoints } from "./points.js";
import { keepOrigin, keepPreview, originOf, previewOf } from "./previews.js";
import { withRoot } from "../../scripts/root.js";

const ROWS = fields.guides.record;
const PLACED = ["enabled", "image", "mask", "module", "model"];
const FIRST = ["weight", "start", "end"];
const LOOKING = ["pixel_perfect", "processor_res", "threshold_a", "threshold_b", "resize_mode", "face_order", "face_index"];     // what else changes a preview
const UNTOLD = { threshold_a: -1, threshold_b: -1 };     // those of one preprocessor mean nothing to another
const SEVERAL = /union|promax/i;        // in the names of models of several kinds
const NO_MODEL = "None", KEY_POINTS = "instant_id_face_keypoints";

const button = (words, act, more = {}) => make("button", { type: "button", class: "act", onclick: act, ...more }, words);
const tool = (icon, words, act) => make("button", { type: "button", class: `tool icon-${icon}`, "aria-label": words, title: words, onclick: act });

export class Unit {
  constructor(panel, number, value) {
    Object.assign(this, { panel, number, value });
    this.on = make("input", { type: "checkbox", id: this.id("enabled_input"), checked: Boolean(value.enabled), "aria-label": `Guide ${number + 1} is on`, onchange: () => this.set({ enabled: this.on.checked }) });
    this.toggle = make("button", { type: "button", class: "unit-open", "aria-controls": this.id("body"), onclick: () => this.unfold(this.body.hidden) });
    this.body = make("div", { class: "unit-body", id: this.id("body") });
    this.root = make("section", { class: "unit", "aria-label": `Guide ${number + 1}` }, this.head(), this.body);
    this.unfold(panel.open.has(value));
    this.say();
  }

  id(name) { return `${this.panel.tab}_guides_${this.number}_${name}`; }
  get facts() { return this.panel.facts; }
  // Without a model nothing tells choices apart that share a preprocessor: it is what the person chose.
  get choice() {
    const { led, value } = this;
    return led?.modules.includes(value.module) && value.model === NO_MODEL ? led : choiceOf(this.facts, { ...value, module: this.origin?.module ?? value.module });
  }
  get module() { return this.named(this.value.module); }
  named(module) { return this.facts.modules.find(one => one.name === module); }

  // Nothing is chosen yet: that is told when it is drawn, and not before.
  get fresh() { return this.value.module === ROWS.module.default && this.value.model === NO_MODEL; }

  // Whether a face of its picture counts, and which networks look for it.
  get looksAtFace() { return this.module?.kind === "picture_prompt" && /faceid|instant/i.test(this.value.model) || this.value.module === KEY_POINTS; }
  get pack() { return this.value.module === KEY_POINTS || /instant/i.test(this.value.model) ? "antelopev2" : "buffalo_l"; }

  // What its preprocessor looks at, and how: a preview is of this, and of nothing else.
  get looked() {
    const { value, panel } = this, image = value.image || (panel.tab === "img2img" ? { ...panel.form.values, ...panel.form.pending }.init_image || "" : "");
    return { image, module: value.module, settings: JSON.stringify([...(value.module === KEY_POINTS ? [value.model] : []), ...LOOKING.map(name => this.usual(name) ?? value[name]), ...panel.size]) };
  }
  // What a threshold comes to that is not set, or that the preprocessor cannot have.
  usual(name) {
    const slider = this.module?.[name.at(-1)], value = this.value[name];
    return slider && (value < slider.minimum || value > slider.maximum) ? slider.usual : null;
  }
  get preview() { return previewOf(this.looked); }

  // What a picture was made of that is shown to the model as it is.
  get origin() { return this.value.module === "none" && this.value.image ? originOf(this.value.image) : null; }

  leave() { this.left = true; }

  // Where the unit is by now: it may have been moved or removed while something was on its way to it.
  get place() { return this.panel.values.indexOf(this.value); }
  get view() { return this.panel.views[this.place]; }

  // ---- the head ----

  head() {
    const { panel, number } = this, last = panel.values.length - 1;
    return make("div", { class: "unit-head" }, make("span", { class: "field", id: this.id("enabled") }, this.on), this.toggle, make("span", { class: "unit-tools" },
      ...(number ? [tool("up", "Move this guide up", () => panel.move(number, -1))] : []), ...(number < last ? [tool("down", "Move this guide down", () => panel.move(number, 1))] : []),
      tool("copy", "Copy this guide", () => panel.copy(number)), tool("close", "Remove this guide", () => panel.remove(number))));
  }

  say() {
    const { module, model, enabled } = this.value, { choice } = this;
    this.toggle.replaceChildren(make("span", { class: "unit-name" }, `${this.number + 1} · `, make("span", {}, choice?.label ?? "Guide"), ...(this.unfit ? [" · ", make("span", {}, "does not fit")] : [])),
      make("span", { class: "unit-about", translate: "no" }, [module === "none" ? "" : module, model === NO_MODEL ? "" : model].filter(Boolean).join(" · ")));
    this.root.classList.toggle("off", !enabled);
    this.root.classList.toggle("misfit", Boolean(this.unfit));
  }

  // Also while it is folded.
  fits(does) {
    if (this.unfit === !does) return;
    this.unfit = !does;
    this.say();
  }

  reveal(name) {
    this.unfold(true);
    if (name.endsWith(".mask")) find(".unit-region", this.body).open = true;
  }

  unfold(open) {
    const { open: opened } = this.panel;
    if (open) opened.add(this.value); else opened.delete(this.value);
    this.body.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
    if (!open) return;
    if (!this.body.childElementCount) this.fill();
    this.panel.checkSoon();     // what does not fit is told where it can be read
  }

  // ---- the body, made when it is first opened ----

  fill() {
    const rest = Object.keys(ROWS).filter(name => ![...PLACED, ...FIRST].includes(name) && drawable(ROWS[name]));
    this.guide = make("select", { id: this.id("guide"), "aria-label": "Guide by", onchange: () => this.lead() });
    this.hint = make("p", { class: "unit-note", role: "status", hidden: true });
    this.body.append(
      make("div", { class: "unit-field unit-lead" }, make("span", { class: "unit-label" }, make("label", { for: this.id("guide") }, "Guide by")), this.guide), this.hint,
      this.pictures(), this.field("module", this.modules, module => this.set({ module, ...UNTOLD })), this.field("model", this.models), make("div", { class: "unit-numbers" }, ...FIRST.map(name => this.field(name))),
      make("div", { class: "unit-rest" }, ...rest.map(name => this.field(name))), this.region());
    this.show();
  }

  field(name, choices, changed = value => this.set({ [name]: value })) { return control(this.id(name), ROWS[name], this.value[name], changed, choices); }
  get modules() { return this.facts.modules.map(one => [one.name, one.label]); }
  get models() { return [[NO_MODEL, "None"], ...this.facts.models.map(one => [one.name, one.name])]; }

  pictures() {
    const start = this.panel.tab === "img2img" ? "Without one it is the picture to start from." : "or drop one here, or paste";
    this.image = new PicturePlace(this.id("image"), "Picture of the guide", { hint: start, changed: image => this.pictured(image), failed: message => this.refuse("image", message) });
    this.face = new FaceChoice(this.image, face_index => { this.set({ face_index }); this.again("face_index"); });
    this.image.acts.append(this.borrow = button("Use the img2img picture", () => this.borrowed()), this.look = button("Preview", () => this.made()), this.joints = button("Move the points", () => this.movePoints()), this.back = button("Back to the picture it was made of", () => this.unused()));
    this.shown = make("img", { class: "unit-thumb", alt: "What the preprocessor makes", onerror: () => this.keep(null) });
    this.save = make("a", { class: "act", download: "guide.png" }, "Download");
    this.stale = make("p", { class: "unit-note", hidden: true }, "Made with other settings or for another size.");
    this.result = make("div", { class: "unit-result", hidden: true }, make("span", { class: "unit-label" }, "What the model sees"), this.shown, this.stale, make("div", { class: "unit-acts" },
      button("Use as the picture", () => this.use(this.preview.id)), button("Paint on it", () => this.retouch()), this.save, button("Close", () => this.keep(null))));
    this.others = new MorePictures(this.id("more_images"), { changed: more_images => this.set({ more_images }), failed: message => this.refuse("more_images", message) });
    return make("div", { class: "unit-pictures" }, this.image.root, this.result, this.others.root);
  }

  region() {
    this.mask = new PicturePlace(this.id("mask"), "Region", { hint: "Where the guide acts: white. Without one everywhere.", mask: true, changed: mask => this.set({ mask }), failed: message => this.refuse("mask", message) });
    this.mask.acts.append(button("Paint a region", () => this.paintRegion()));
    return make("details", { class: "unit-region", open: Boolean(this.value.mask) }, make("summary", {}, "Region"), this.mask.root);
  }

  // ---- what a person does ----

  set(change) {
    Object.assign(this.value, change);
    this.view?.follows(change);
    this.panel.changed();
  }

  follows(change) {
    if (change.enabled !== undefined) this.on.checked = change.enabled;
    this.unmark(...Object.keys(change.enabled === false ? ROWS : change));
    this.say();
    this.show();
  }

  unmark(...names) { for (const name of names) formOf(this.panel.tab).unmark(`guides[${this.number}].${name}`); }

  // One choice leads: the rest follows.
  lead() {
    const choice = this.facts.choices.find(one => one.name === this.guide.value);
    if (!choice) return;
    this.led = choice;
    const filled = filledBy(this.facts, choice);
    this.set({ ...filled, enabled: true });
    for (const name of Object.keys(filled).filter(name => !name.startsWith("threshold"))) this.again(name);      // those are shown as the preprocessor has them
  }

  // The field's element shows the value that was set by other means.
  again(name) {
    const input = find(`#${CSS.escape(this.id(name))}_input`, this.body);
    if (!input) return;
    if (input.tagName === "SELECT") offer(input, name === "module" ? this.modules : name === "model" ? this.models : ROWS[name].choices, this.value[name]);
    else for (const one of [input, find(".slider", input.parentElement)]) if (one) one.value = this.value[name];
    fill(find(".slider", input.parentElement));
  }

  // With a picture that has come, or "" for one that was taken away. Whose face was meant in the one before says nothing of it.
  pictured(image) { this.put({ image, face_index: ROWS.face_index.default, ...(image && { enabled: true }) }); }

  borrowed() {
    const { init_image: image } = { ...formOf("img2img").values, ...formOf("img2img").pending };
    if (image) this.pictured(image);
    else this.refuse("image", "img2img has no picture yet.");
  }

  // Of a model of several kinds: whether neither the preprocessor nor the person says which it is shown.
  get unnamed() { return SEVERAL.test(this.value.model) && !this.module?.union && this.value.union_type === ROWS.union_type.default; }

  // What a person should know of the choice, which is no error.
  advise() {
    const { choice, value } = this, lacks = choice?.kinds.length && value.model === NO_MODEL, odd = oddPair(this.facts, value);
    const text = lacks ? `There is no model for this and the checkpoint yet: put one into models/${choice.kinds.at(-1) === "ip_adapter" ? "ip_adapter" : choice.kinds[0]}.`
      : this.unnamed ? "Choose the kind of hint: nothing else tells it for a picture that is shown as it is."
      : odd ? `By its name the model is for ${translated(odd[0].label)}; the preprocessor makes ${translated(odd[1].label)}.` : "";
    this.hint.hidden = !text;
    this.hint.textContent = text;
  }

  refuse(name, message) { this.tell([{ field: `guides[0].${name}`, message }]); }

  // Of problems that name it as the first unit.
  tell(problems) {
    const { place } = this;
    if (place >= 0) formOf(this.panel.tab).mark(problems.map(one => ({ ...one, field: one.field.replace("guides[0]", `guides[${place}]`) })), false);
  }

  // While a preview is being made the button gives it up.
  async made() {
    const { panel: { making, size: [width, height] }, value, looked } = this, { image } = looked;
    if (making.has(value)) return this.giveUp();
    const task = `${Date.now()}-${Math.random().toString(36).slice(2)}`, mine = () => making.get(value) === task;
    making.set(value, task);
    this.unmark("image", "module");     // of the try before
    this.panel.checkSoon();
    this.show();
    try { this.keep((await post("/easel/guides/preview", { unit: { ...value, image }, width, height, task })).id, looked); }
    catch (error) { if (mine()) this.say_wrong(error); }
    finally { if (mine()) this.idle(); }
  }

  giveUp() {
    const task = this.panel.making.get(this.value);
    this.idle();
    return post("/easel/guides/preview/cancel", { task });
  }

  idle() {
    this.panel.making.delete(this.value);
    this.view?.show();
  }

  say_wrong(error) {
    const named = (error.problems ?? []).filter(({ field }) => field);
    if (named.length) this.tell(named);
    else this.refuse("module", error.message);
  }

  // The preview stays with what was looked at, also when that is another picture by now.
  keep(id, looked = this.looked) {
    keepPreview(looked, id);
    for (const view of this.panel.views) view.show();
  }

  // What was made of a picture is shown to the model as it is: so is what a person has changed in it.
  // A model of several kinds must be told then which of them that is.
  use(id, { image, module } = this.value, people = null) {
    const { union_type, model } = this.value, told = union_type !== ROWS.union_type.default || !SEVERAL.test(model), kind = told ? union_type : this.named(module)?.union || union_type;
    keepOrigin(id, { image, module, union_type, people });
    this.put({ image: id, module: "none", union_type: kind, enabled: true });
  }

  unused() {
    const { image, module, union_type } = this.origin;
    this.put({ image, module, union_type });
  }

  // As `set`, where the fields do not show the values yet.
  put(change) {
    this.set(change);
    for (const name of Object.keys(change)) this.view?.again(name);
  }

  async retouch() {
    const made = { ...this.value, image: this.looked.image }, id = await paint("Paint on what the preprocessor made", { under: this.preview.id });
    if (id) this.use(id, made);
  }

  async movePoints() {
    const [width, height] = this.panel.size, { image, module, people = null } = this.origin ?? this.value, unit = { ...this.value, image, module };
    let moved = null;
    try {
      const id = await movePoints({ unit, people, width, height, keep: people => { moved = people; } });
      if (id) this.use(id, unit, moved);
    } catch (error) { this.say_wrong(error); }
  }

  async paintRegion() {
    const id = await paint("Paint the region in white", { under: this.value.mask, beside: this.looked.image, lies: LIES[this.value.resize_mode], size: this.panel.size, mask: true });
    if (id) this.set({ mask: id });
  }

  // ---- what is shown ----

  // What the preprocessor looks at can change elsewhere: the picture of img2img, and the size.
  follow() {
    const { image } = this.looked;
    if (image && image !== this.lookedAt) this.unmark("image");
    if (JSON.stringify(this.looked) !== this.shownOf) this.show();
  }

  show() {
    if (this.left || !this.body.childElementCount) return;
    this.shownOf = JSON.stringify(this.looked);
    this.lookedAt = this.looked.image;
    const { value, module, preview, choice, origin } = this;
    offer(this.guide, [["", this.fresh ? "Choose…" : "Something else"], ...this.facts.choices.map(one => [one.name, one.label])], choice?.name ?? "");
    this.advise();
    this.image.show(value.image);
    this.mask.show(value.mask);
    this.others.show(value.more_images, module?.kind === "picture_prompt");
    this.face.show(this.looksAtFace && value.image ? { picture: value.image, pack: this.pack, adapter: value.model, order: value.face_order, number: value.face_index } : null);
    this.result.hidden = !preview || module?.kind !== "hint";
    this.joints.hidden = !value.image || !this.named((origin ?? value).module)?.points;
    this.back.hidden = !origin;
    this.result.classList.toggle("stale", Boolean(preview?.stale));
    this.stale.hidden = !preview?.stale;
    if (preview) this.shown.src = this.save.href = withRoot(`/easel/upload/${preview.id}.png`);
    this.borrow.hidden = this.panel.tab === "img2img" && !value.image;
    this.look.hidden = module?.kind !== "hint";
    this.look.textContent = this.panel.making.has(value) ? "Stop making it" : "Preview";
    this.thresholds(module);
    for (const [name, acts] of Object.entries(this.acting(module))) find(`#${CSS.escape(this.id(name))}`, this.body)?.toggleAttribute("hidden", !acts);
  }

  // Under the preprocessor's own names.
  thresholds(module) {
    for (const [name, slider] of [["threshold_a", module?.a], ["threshold_b", module?.b]]) {
      const box = find(`#${CSS.escape(this.id(name))}`, this.body), inputs = box ? [find("input[type=number]", box), find(".slider", box)] : [];
      if (!box || !slider) continue;
      find("label", box).textContent = slider.label;
      for (const one of inputs) if (one) Object.assign(one, { min: slider.minimum, max: slider.maximum, step: slider.step });
      if (document.activeElement !== inputs[0]) for (const one of inputs) if (one) one.value = this.usual(name) ?? this.value[name];
      fill(inputs[1]);
    }
  }

  // Whether a setting changes anything as the unit is.
  acting(module) {
    const hint = !module || module.kind === "hint", sized = Boolean(module?.sized), prompt = module?.kind === "picture_prompt";
    const face = this.looksAtFace;
    return {
      pixel_perfect: sized, processor_res: sized && !this.value.pixel_perfect, control_mode: hint || module.kind === "reference", resize_mode: hint,
      threshold_a: Boolean(module?.a), threshold_b: Boolean(module?.b), hires: this.panel.tab === "txt2img", union_type: SEVERAL.test(this.value.model), model: module?.kind !== "reference",
      combine: prompt && this.value.more_images.length > 0, weight_type: prompt && !this.value.block_weights.trim(), block_weights: prompt, uncond_noise: prompt,
      face_order: face, face_index: face, lora_weight: prompt && /faceid/i.test(this.value.model),
    };
  }
}
