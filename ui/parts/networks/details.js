// All about one network, in a dialog: its picture, what its file tells, and the notes beside it, which are kept as soon as they are written.
import { ask, find, form, make, note, post, results, say, toast } from "easel";
import { withRoot } from "../../scripts/root.js";

const NOTES = [
  ["words", "Trigger words", "input", "What calls it forth, as it is put into the prompt"], ["weight", "Preferred weight", "number", "1"],
  ["negative", "Words for the negative prompt", "input", ""], ["description", "Description", "textarea", ""], ["notes", "Notes", "textarea", ""],
];
const address = (kind, what, name) => `/easel/networks/${kind}/${what}?name=${encodeURIComponent(name)}`;
export const pictureOf = ({ kind, name, picture }) => withRoot(`${address(kind, "picture", name)}&v=${picture}`);

// `changed` gets the card when its notes or its picture are others; `tags` makes the buttons of words that a prompt takes.
export async function openDetails(tab, card, { changed, tags }) {
  const { kind, name } = card, checkpoint = form(tab).values.checkpoint ?? "";
  let told;
  try { told = await ask(`${address(kind, "details", name)}&checkpoint=${encodeURIComponent(checkpoint)}`); }
  catch (error) { return note(error.message, 8000); }
  const sheet = make("dialog", { class: "sheet network-sheet", "aria-labelledby": "network-title" });
  const filled = { kind, ...told };
  sheet.append(
    make("header", {}, make("h2", { id: "network-title", translate: "no" }, name), make("button", { type: "button", class: "act", onclick: () => sheet.close() }, "Close")),
    make("div", { class: "network-about" }, pictureBox(tab, filled, changed), facts(filled)),
    ...(told.misfit || told.reason ? [make("p", { class: "problem" }, told.misfit || told.reason)] : []),
    fields(filled, changed),
    make("p", { class: "sheet-hint" }, told.editable ? "Kept beside the file as AUTOMATIC1111 does, for everybody who uses this Easel." : "Easel may not write into the folder of this file, so nothing here can be changed."),
    ...(told.tags.length ? [make("section", { class: "network-tags" }, make("h3", {}, "Words it was trained with, the most frequent first"), tags(told.tags))] : []));
  sheet.addEventListener("close", () => sheet.remove());
  sheet.addEventListener("click", event => { if (event.target === sheet && beside(sheet, event)) sheet.close(); });
  document.body.append(sheet);
  sheet.showModal();
}

function beside(sheet, { clientX: x, clientY: y }) {
  const { left, right, top, bottom } = sheet.getBoundingClientRect();
  return x < left || x > right || y < top || y > bottom;
}

function pictureBox(tab, told, changed) {
  const image = make("img", { alt: "", class: "network-large" }), shown = results(tab).shown();
  const show = card => { image.hidden = !card.picture; if (card.picture) image.src = pictureOf({ ...told, ...card }); };
  const use = make("button", { type: "button", class: "act", disabled: !told.editable || !shown, onclick: async () => {
    try {
      const card = { kind: told.kind, ...await post(address(told.kind, "picture", told.name), { image: shown.id }) };
      show(card);
      changed(card);
      toast("The picture shown is its picture.");
    } catch (error) { note(error.message, 8000); }
  } }, "Use the picture shown as its picture");
  show(told);
  return make("div", {}, make("div", { class: "network-frame" }, image), use);
}

function facts({ facts, title, size }) {
  const lines = { ...facts, File: title, Size: size ? megabytes(size) : "" };
  return make("dl", { class: "network-facts" }, ...Object.entries(lines).filter(([, line]) => line)
    .map(([about, line]) => make("div", {}, make("dt", {}, about), make("dd", { translate: "no" }, line))));
}

const megabytes = size => size < 100_000 ? `${(size / 1000).toFixed(1)} kB` : `${(size / 1e6).toFixed(size < 1e7 ? 1 : 0)} MB`;

// ---- notes ----

function fields(told, changed) {
  const known = { ...told, words: told.words.join(", "), weight: told.weight ?? "" };
  return make("form", { class: "network-notes", onsubmit: event => event.preventDefault() },
    ...NOTES.filter(([name]) => told.kind !== "checkpoint" || ["description", "notes"].includes(name)).map(([name, label, kind, placeholder]) => {
      const look = { name, placeholder: placeholder || null, autocomplete: "off", disabled: !told.editable, rows: kind === "textarea" ? 2 : null };
      const input = kind === "textarea" ? make("textarea", look) : make("input", { ...look, ...(kind === "number" ? { type: "number", step: 0.05, min: -10, max: 10 } : {}) });
      input.value = known[name];
      input.addEventListener("change", () => keep(told, name, input, changed));
      return make("label", { class: `network-note-${name}` }, make("span", {}, label), input);
    }));
}

async function keep({ kind, name }, field, input, changed) {
  const value = { words: () => [input.value], weight: () => input.value === "" ? null : Number(input.value) }[field]?.() ?? (field === "weight" ? null : input.value);
  wrong(input, input.validity.badInput ? "is no number" : "");
  if (input.validity.badInput) return;
  try {
    changed({ kind, ...await post(address(kind, "notes", name), { [field]: value }) });
    say("Saved.");
    const label = input.closest("label");
    label.classList.add("kept");
    setTimeout(() => label.classList.remove("kept"), 1500);
  } catch (error) { wrong(input, error.message); }
}

function wrong(input, message) {
  find(".problem", input.closest("label"))?.remove();
  input.toggleAttribute("aria-invalid", Boolean(message));
  if (message) input.closest("label").append(make("p", { class: "problem", role: "alert" }, message));
}
