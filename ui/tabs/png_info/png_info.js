// PNG Info: a picture, or a settings text alone, goes to the server, which says what made it; from there it goes into a form.
import { note, say } from "../../parts/notices.js";
import * as picture from "../../parts/init_image.js";
import { copy } from "../../scripts/clipboard.js";
import { find, make } from "../../scripts/dom.js";
import { dropZone, filesOf, pasteZone } from "../../scripts/drop_zone.js";
import { formOf } from "../../scripts/form.js";
import { post, sendFile } from "../../scripts/http.js";
import { currentTab } from "../../scripts/tabs.js";
import * as extras from "../extras/extras.js";

const TAB = "png_info", PAUSE = 400;      // ms after the last letter
const NOTHING = "This picture says nothing of how it was made. It can still be the start of another one.";
const NO_SETTINGS = "There are no settings in this text: it is taken as a prompt alone.";
let told = null, shown = null, url = "", timer = 0, asked = 0;

const box = () => find(`#${TAB} .info`);

async function read(file) {
  const turn = ++asked;
  problem("");
  find(".info-paste", box()).value = "";
  try { told = await sendFile("/easel/settings", file); }
  catch (error) { problem(error.message); return; }
  if (turn !== asked) return;
  URL.revokeObjectURL(url);
  shown = file;
  url = URL.createObjectURL(file);
  show();
}

// A later text, or a picture, makes the answer to an earlier one old news.
async function readText() {
  const text = find(".info-paste", box()).value.trim(), turn = ++asked;
  problem("");
  if (!text) { find(".info-found", box()).hidden = true; return; }
  try {
    const answer = await post("/easel/settings/text", { text });
    if (turn !== asked) return;
    told = answer;
    shown = null;
    show();
  } catch (error) { if (turn === asked) problem(error.message); }
}

function problem(text) {
  const place = find(".problem", box());
  place.hidden = !text;
  place.textContent = text;
}

function show() {
  find(".info-found", box()).hidden = false;
  const image = find(".info-picture", box()), bare = !shown && Object.entries(told.values).every(([name, value]) => name === "prompt" || value === "");
  image.hidden = !shown;
  if (shown) image.src = url;
  find(".info-found", box()).classList.toggle("text-alone", !shown);
  const text = find(".info-text", box()), none = find(".info-none", box());
  text.textContent = bare ? "" : told.infotext;
  none.textContent = bare ? NO_SETTINGS : told.infotext || told.missing.length ? "" : NOTHING;
  text.hidden = !text.textContent;
  none.hidden = !none.textContent;
  find(".info-missing", box()).replaceChildren(...told.missing.map(text => make("li", {}, text)));
  for (const name of ["txt2img", "copy"]) find(`[data-info="${name}"]`, box()).hidden = !told.infotext;
  for (const name of ["inpaint", "extras"]) find(`[data-info="${name}"]`, box()).hidden = !shown;
  say(bare ? NO_SETTINGS : told.infotext ? "Settings found." : told.missing[0] ?? NOTHING);
}

const acts = {
  txt2img: () => formOf("txt2img").reuse(told.values, told.plot),
  img2img: () => shown ? picture.send({ file: shown }, told.values) : formOf("img2img").reuse(told.values, told.plot),
  inpaint: () => picture.send({ file: shown }, told.values, { inpaint: true }),
  extras: () => extras.send({ file: shown, infotext: told.infotext }),
  copy: () => copy(told.infotext).catch(error => note(error.message, 8000)),
};

document.addEventListener("change", event => {
  if (!event.target.matches?.(".info-file") || !event.target.files[0]) return;
  read(event.target.files[0]);
  event.target.value = "";
}, true);
document.addEventListener("input", event => {
  if (!event.target.matches?.(".info-paste")) return;
  clearTimeout(timer);
  timer = setTimeout(readText, PAUSE);
});
// Pasted while nothing is being typed anywhere.
document.addEventListener("paste", event => {
  const text = event.clipboardData?.getData("text/plain");
  if (!text || currentTab() !== TAB || event.target.closest?.("input, textarea")) return;
  event.preventDefault();
  find(".info-paste", box()).value = text;
  readText();
});
document.addEventListener("click", event => acts[event.target.closest?.("[data-info]")?.dataset.info]?.());
dropZone(`#${TAB}`, async transfer => { const [file] = await filesOf(transfer); if (file) read(file); });
pasteZone(TAB, ([pasted]) => read(pasted));
