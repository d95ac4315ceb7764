// Settings: what is chosen goes to the server at once and holds for the person's later pictures, on every device.
import { sure } from "../../parts/dialog.js";
import { allowed, chime } from "../../parts/job_end.js";
import { note, say, toast } from "../../parts/notices.js";
import { appeared, find, findAll, make } from "../../scripts/dom.js";
import { on, tell } from "../../scripts/events.js";
import { fields } from "../../scripts/fields.js";
import { formOf, sentence } from "../../scripts/form.js";
import { ask, post } from "../../scripts/http.js";
import { defaultsOf, preferences, takePreferences } from "../../scripts/preferences.js";
import { follow, translated } from "../../scripts/translate.js";
import "./extensions.js";
import "./limits.js";
import "./search.js";

const PAUSE = 500, TABS = ["txt2img", "img2img"];
const LOOK = { theme: "system", language: "browser", end_sound: "off", end_notice: "off", pins: [] };
let shown = null, timer = 0, line = Promise.resolve();

const value = name => preferences()[name] ?? LOOK[name] ?? fields[name]?.default;
const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
const form = () => formOf("settings");
const writing = name => form().element(name)?.contains(document.activeElement);

export function restore(names) {
  shown = Object.fromEntries(names.map(name => [name, value(name)]));
  tell("form", { tab: "settings", values: shown });
  return names.map(name => shown[name]);
}

// Gradio tells of each change, also of those that the page made itself.
export function changed(names, values) {
  if (!shown) return;
  const news = names.filter((name, i) => !same(values[i], shown[name]));
  names.forEach((name, i) => { shown[name] = values[i]; });
  if (!news.length) return;
  news.forEach(name => form().unmark(name));
  tell("form", { tab: "settings", values: shown });
  if (news.includes("end_sound") && shown.end_sound === "on") chime();
  if (news.includes("end_notice") && shown.end_notice === "on") allowed();
  if (news.includes("theme")) wear({ ...preferences(), theme: shown.theme });
  clearTimeout(timer);
  timer = setTimeout(save, PAUSE);
}

// One after the other, so that an answer never speaks of what has changed since.
function save() {
  clearTimeout(timer);
  line = line.then(send);
  return line;
}

async function send() {
  const news = Object.entries(shown).filter(([name, now]) => !same(now, value(name)) && !(now == null && writing(name)));
  if (!news.length) return example();
  const problems = await keep(Object.fromEntries(news));
  const wrong = problems.map(problem => problem.field);
  const fine = wrong.includes("") ? [] : news.filter(([name]) => !wrong.includes(name));
  if (wrong.length && fine.length) await keep(Object.fromEntries(fine));
  fine.forEach(([name]) => form().unmark(name));
  form().mark(problems.filter(({ field }) => news.some(([name, sent]) => name === field && same(shown[name], sent))), false);
  if (fine.some(([, sent]) => sent == null)) refresh();
  state(wrong.length ? "Not saved" : "Saved", wrong.length > 0);
  example();
}

// What the server does not take, by field.
async function keep(news) {
  try { take(await post("/easel/preferences", news)); return []; }
  catch (error) {
    if (!error.problems?.some(problem => problem.field)) { note(error.message, 8000); return [{ field: "", message: error.message }]; }
    return error.problems;
  }
}

function take(now) {
  takePreferences(now);
  wear(now);
  renderDefaults();
}

function wear({ theme, language }) {
  Object.assign(window.easelPreferences, { theme, language });
  easelLook.light();
  follow();
}

function state(text, bad = false) {
  const place = find("#settings_state");
  if (place) place.textContent = text;
  place?.classList.toggle("bad", bad);
  say(text);
}

function refresh() { find("#settings_apply")?.click(); }

// Of what is saved by now.
async function example() {
  const place = find("#settings_example");
  if (!place) return;
  const answer = await post("/easel/file-name", {}).catch(() => null);
  if (answer) place.textContent = answer.name;
}

// ---- the fields that can be pinned, in the person's language: typed words filter them ----

export const pinnable = () => ({ __type__: "update", choices: Object.entries(fields).filter(([, field]) => field.choices).map(([name, { label }]) => [translated(label), name]) });
const named = () => find("#settings_words")?.click();

// ---- what a tab starts with ----

async function makeDefaults(tab) {
  const now = formOf(tab);
  const own = Object.entries(await now.fresh()).filter(([name, it]) => fields[name]?.start && it != null && !same(it, now.fitting(now.checkpoint, name)));
  const problems = await keep({ [`defaults.${tab}`]: Object.fromEntries(own) });
  const told = find("#settings_defaults .problem");
  told.hidden = !problems.length;
  told.textContent = problems.map(({ field, message }) => sentence(field.split(".").pop(), message)).join(" ");
  if (!problems.length) toast("Saved");
}

async function forget(tab) {
  await keep({ [`defaults.${tab}`]: null });
  toast("Saved");
}

function renderDefaults() {
  for (const tab of TABS) {
    const row = find(`#settings_defaults [data-tab="${tab}"]`);
    if (!row) continue;
    const own = Object.keys(defaultsOf(tab));
    find(".defaults-own", row).textContent = own.length ? own.map(name => translated(fields[name]?.label ?? name)).join(", ") : "Easel's own";
    find('[data-defaults="forget"]', row).disabled = !own.length;
  }
}

async function resetAll() {
  if (!await sure("Take all settings, defaults and the look back to Easel's own?", "Reset everything here")) return;
  const shown = Object.keys(preferences()).filter(name => !name.startsWith("guides."));     // sets of guides are no settings
  await keep(Object.fromEntries(shown.map(name => [name, null])));
  for (const box of findAll("#settings .wrong")) form().clear(box);
  refresh();
  state("Saved");
  example();
}

// ---- about this Easel ----

async function about() {
  const place = find("#settings_about");
  const told = await ask("/easel/about").catch(() => null);
  if (!place || !told) return;
  const rows = [["Version", told.version], ...told.workers.map(worker => ["Device", [worker.device || worker.name, worker.dtype].filter(Boolean).join(", ")]),
    ...(told.public_link ? [["Public link", told.public_link]] : []), ...(told.data ? [["Data folder", told.data]] : [])];
  place.replaceChildren(...rows.flatMap(([name, text]) => [make("dt", {}, name), make("dd", { translate: name === "Public link" ? null : "no" }, text)]));
}

const acts = { make: makeDefaults, forget };
document.addEventListener("click", event => {
  const button = event.target.closest?.("[data-defaults]");
  if (button) acts[button.dataset.defaults](button.closest("[data-tab]").dataset.tab);
  else if (event.target.closest?.("#settings_reset")) resetAll();
});

document.addEventListener("focusout", event => { if (shown && event.target.closest?.("#settings .field")) setTimeout(save); });

// The tab's parts come to the page when it is first opened.
appeared("#settings_about").then(() => { about(); example(); renderDefaults(); named(); });
on("language", named);
on("live", event => { if (event.type === "status") about(); });
window.addEventListener("pagehide", () => { if (timer && shown) save(); });
