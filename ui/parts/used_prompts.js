// The prompts used before, in a dialog: search, choose, and both boxes have them again.
import { find, make } from "../scripts/dom.js";
import { formOf } from "../scripts/form.js";
import { ask } from "../scripts/http.js";

const LIMIT = 100, PAUSE = 150;
let tab = "txt2img", due = 0, asked = 0;

const sheet = () => find(".used-sheet");

export async function open(name) {
  tab = name;
  find(".used-search", sheet()).value = "";
  find(".used-list", sheet()).replaceChildren();
  sheet().showModal();
  await search();
}

async function search() {
  const turn = ++asked, words = find(".used-search", sheet()).value;
  let prompts = [], trouble = "";
  try { ({ prompts } = await ask(`/easel/prompts?limit=${LIMIT}&q=${encodeURIComponent(words)}`)); } catch (error) { trouble = error.message; }
  if (turn !== asked) return;
  const note = find(".used-none", sheet());
  note.textContent = trouble || (prompts.length ? "" : words.trim() ? "No prompt has these words." : "Prompts appear here once they were used.");
  if (prompts.length === LIMIT) note.textContent = `The newest ${LIMIT}; a search finds older ones.`;
  note.hidden = !note.textContent;
  find(".used-list", sheet()).replaceChildren(...prompts.map(row));
}

function row(used) {
  const lines = [make("span", {}, used.prompt || "(no prompt)")];
  if (used.negative_prompt) lines.push(make("span", { class: "used-negative" }, `Negative prompt: ${used.negative_prompt}`));
  return make("li", {}, make("button", { type: "button", title: new Date(used.used).toLocaleString(), onclick: () => choose(used) }, ...lines));
}

function choose({ prompt, negative_prompt }) {
  sheet().close();
  find(`#${tab}_prompt textarea`)?.focus();
  formOf(tab).replace({ prompt, negative_prompt }, "Prompt taken over.");
}

// A click beside the dialog; one on its edge is the dialog's own.
document.addEventListener("click", event => {
  if (event.target !== sheet()) return;
  const { left, right, top, bottom } = sheet().getBoundingClientRect();
  if (event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom) sheet().close();
});
document.addEventListener("input", event => {
  if (!event.target.matches?.(".used-search")) return;
  clearTimeout(due);
  due = setTimeout(search, PAUSE);
});
