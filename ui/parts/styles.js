// Styles: into the prompt boxes, and the dialog in which they are made, changed and deleted.
import { appeared, find, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf, sentence } from "../scripts/form.js";
import { ask, post } from "../scripts/http.js";
import { note, toast } from "./notices.js";

const NEW = "";
const TABS = ["txt2img", "img2img"];
const waiting = new Set();
let tab = "txt2img", styles = [];

const sheet = () => find(".styles-sheet");
const box = name => find(`.styles-${name}`, sheet());
const current = () => styles.find(style => style.name === box("which").value);
const typed = form => ({ prompt: form.values.prompt ?? "", negative_prompt: form.values.negative_prompt ?? "" });

export async function apply(name) {
  const form = formOf(name), chosen = form.values.styles ?? [];
  if (!chosen.length) return note("Choose one or more styles first.", 6000);
  try {
    form.replace({ ...await post("/easel/styles/apply", { styles: chosen, ...typed(form) }), styles: [] }, "The styles are in the prompt boxes now.");
  } catch (error) { note(error.message, 8000); }
}

export async function edit(name) {
  tab = name;
  let unread = [];
  try { ({ styles, problems: unread } = await ask("/easel/styles")); } catch (error) { return note(error.message, 8000); }
  const chosen = formOf(tab).values.styles ?? [];
  list(chosen.length === 1 ? chosen[0] : NEW);
  problem(unread.join(" "));
  sheet().showModal();
  box("name").focus();
}

function list(selected) {
  box("which").replaceChildren(make("option", { value: NEW }, "New style"),
    ...styles.map(style => make("option", { value: style.name }, style.shared ? `${style.name} (everybody's)` : style.name)));
  box("which").value = styles.some(style => style.name === selected) ? selected : NEW;
  show();
}

function show() {
  const style = current();
  box("name").value = style?.name ?? "";
  fill(style ?? typed(formOf(tab)));
  calm();
  problem("");
  find('[data-styles="remove"]', sheet()).hidden = !style || style.shared;
}

function fill({ prompt, negative_prompt }) {
  box("prompt").value = prompt;
  box("negative").value = negative_prompt;
}

function problem(text) {
  const place = find(".problem", sheet());
  place.hidden = !text;
  place.textContent = text;
}

// Deleting takes two clicks on the same button.
function calm() {
  const button = find('[data-styles="remove"]', sheet());
  button.classList.remove("danger");
  button.textContent = "Delete";
}

async function save() {
  const name = box("name").value.trim(), was = current()?.name ?? "";
  await keep(() => post("/easel/styles", { name, prompt: box("prompt").value, negative_prompt: box("negative").value, was }));
  chosenUnder(was, name);
  list(name);
  toast("Style saved.");
}

async function remove(button) {
  if (!button.classList.contains("danger")) {
    button.classList.add("danger");
    button.textContent = "Really delete?";
    return;
  }
  const { name } = current();
  await keep(() => post("/easel/styles/delete", { name }));
  chosenUnder(name, "");
  list(NEW);
  toast("Style deleted.");
}

async function keep(change) {
  styles = (await change()).styles;
  for (const name of TABS) renew(name);
}

// A tab that was never opened asks for the list when it is.
async function renew(name) {
  if (waiting.has(name)) return;
  waiting.add(name);
  (await appeared(`#${name}_renew_styles`)).click();
  waiting.delete(name);
}

// Where the style is chosen, it stays so under its new name.
function chosenUnder(was, name) {
  const form = formOf(tab), chosen = form.values.styles ?? [];
  if (was && was !== name && chosen.includes(was)) form.apply({ styles: chosen.map(one => one === was ? name : one).filter(Boolean) });
}

// A file that cannot be read is told once the page is open: its styles are missing in the lists.
let asked = false;
on("connected", async () => {
  if (asked) return;
  asked = true;
  const { problems } = await ask("/easel/styles").catch(() => ({ problems: [] }));      // that there is no answer is told elsewhere
  for (const text of problems) note(text, 12000);
});

const acts = { save, remove, fetch: async () => fill(typed(formOf(tab))) };

document.addEventListener("click", event => {
  const button = event.target.closest?.("[data-styles]");
  if (button) acts[button.dataset.styles](button).then(() => button.dataset.styles === "remove" || calm(), error => problem(sentence("", error.message)));
  if (event.target.closest?.("[data-sheet=close]")) event.target.closest("dialog").close();
});
document.addEventListener("change", event => { if (event.target.matches?.(".styles-which")) show(); });
