// PNG Info: a picture goes to the server, which says what made it; from there it goes into a form.
import { note, say } from "../../parts/notices.js";
import * as picture from "../../parts/picture.js";
import { copy } from "../../scripts/clipboard.js";
import { find, make } from "../../scripts/dom.js";
import { dropZone, pasteZone } from "../../scripts/drop_zone.js";
import { formOf } from "../../scripts/form.js";
import { sendFile } from "../../scripts/http.js";
import * as extras from "../extras/extras.js";

const TAB = "png_info";
const NOTHING = "This picture says nothing of how it was made. It can still be the start of another one.";
let told = null, shown = null, url = "";

const box = () => find(`#${TAB} .info`);

async function read(file) {
  problem("");
  try { told = await sendFile("/easel/settings", file); }
  catch (error) { problem(error.message); return; }
  URL.revokeObjectURL(url);
  shown = file;
  url = URL.createObjectURL(file);
  show();
}

function problem(text) {
  const place = find(".problem", box());
  place.hidden = !text;
  place.textContent = text;
}

function show() {
  find(".info-found", box()).hidden = false;
  find(".info-picture", box()).src = url;
  find(".info-text", box()).textContent = told.infotext || (told.missing.length ? "" : NOTHING);
  find(".info-missing", box()).replaceChildren(...told.missing.map(text => make("li", {}, text)));
  for (const name of ["txt2img", "copy"]) find(`[data-info="${name}"]`, box()).hidden = !told.infotext;
  say(told.infotext ? "Settings found." : told.missing[0] ?? NOTHING);
}

const acts = {
  txt2img: () => formOf("txt2img").reuse(told.values),
  img2img: () => picture.send({ file: shown }, told.values),
  inpaint: () => picture.send({ file: shown }, told.values, { inpaint: true }),
  extras: () => extras.send({ file: shown, infotext: told.infotext }),
  copy: () => copy(told.infotext).catch(error => note(error.message, 8000)),
};

document.addEventListener("change", event => {
  if (!event.target.matches?.(".info-file") || !event.target.files[0]) return;
  read(event.target.files[0]);
  event.target.value = "";
}, true);
document.addEventListener("click", event => acts[event.target.closest?.("[data-info]")?.dataset.info]?.());
dropZone(`#${TAB}`, transfer => { if (transfer.files[0]) read(transfer.files[0]); });
pasteZone(TAB, ([pasted]) => read(pasted));
