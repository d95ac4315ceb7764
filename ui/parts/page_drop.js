// What is dropped beside all places for pictures. On img2img it becomes the picture; elsewhere, and on a prompt, its settings are offered.
// The browser would leave the page for it.
import { find, make } from "../scripts/dom.js";
import { filesOf } from "../scripts/drop_zone.js";
import { formOf } from "../scripts/form.js";
import { sendFile } from "../scripts/http.js";
import { currentTab, openTab } from "../scripts/tabs.js";
import { note } from "./notices.js";
import * as picture from "./init_image.js";

const DRAWING = ["txt2img", "img2img"], NOTHING = "This picture says nothing of how it was made. It can still be the start of another one.";
const EDITABLE = "textarea, input:not([type=checkbox], [type=range], [type=file])";

const SPRING = 500;       // ms over a tab after which it opens, so that a picture can be taken into it
let aimed = null, spring = 0;

const has = (event, type) => [...event.dataTransfer?.types ?? []].includes(type);
// A link may be dropped into a text, a file never.
const meant = event => has(event, "Files") || has(event, "text/uri-list") && !event.target.closest?.(EDITABLE);

function over(event) {
  if (!meant(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = find("dialog:modal") ? "none" : "copy";
  aim(event.target.closest?.("#tabs [role=tab]"));
}

function aim(tab) {
  if (tab === aimed) return;
  clearTimeout(spring);
  aimed = tab;
  if (tab) spring = setTimeout(() => tab.click(), SPRING);
}

async function dropped(event) {
  if (!meant(event)) return;
  event.preventDefault();
  aim(null);
  if (find("dialog:modal")) return;
  const onto = event.target.closest?.("#tabs [role=tab]")?.dataset.tabId, words = event.target.closest?.(".prompts"), taken = filesOf(event.dataTransfer);
  if (DRAWING.includes(onto)) await openTab(onto);
  const tab = currentTab(), [file] = await taken;
  if (!file) return;
  if (tab === "img2img" && !words) picture.keep(file);
  else await offer(file, DRAWING.includes(tab) ? tab : DRAWING[0]);
}

async function offer(file, tab) {
  let told;
  try { told = await sendFile("/easel/settings", file); } catch (error) { return note(error.message, 8000); }
  const close = act => () => { sheet.close(); act(); };
  const button = (text, act, more = "") => make("button", { type: "button", class: `act${more}`, onclick: close(act) }, text);
  const sheet = make("dialog", { class: "sheet drop-sheet", "aria-labelledby": "drop-title" },
    make("header", {}, make("h2", { id: "drop-title" }, "The settings of this picture"), button("Close", () => {})),
    ...told.missing.map(text => make("p", { class: "problem" }, text)),
    told.infotext ? make("pre", { class: "infotext", tabindex: 0, role: "region", "aria-label": "Settings of this picture" }, told.infotext) : make("p", {}, told.missing.length ? "" : NOTHING),
    make("div", { class: "sheet-acts" }, ...(told.infotext ? [button("Use these settings", () => formOf(tab).reuse(told.values, told.plot), " strong")] : []),
      button("Send to img2img", () => picture.send({ file }, told.values))));
  sheet.addEventListener("close", () => sheet.remove());
  document.body.append(sheet);
  sheet.showModal();
  find(".strong", sheet)?.focus();
}

document.addEventListener("dragover", over);
document.addEventListener("drop", dropped);
document.addEventListener("dragend", () => aim(null));
