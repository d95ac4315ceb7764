// What can be done with a finished picture, the same wherever it is shown: a row of small buttons, each with a name and a key.
import { copy, copyPicture } from "../scripts/clipboard.js";
import { find, findAll, make } from "../scripts/dom.js";
import { tell } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { post } from "../scripts/http.js";
import { shortcuts } from "../scripts/keys.js";
import * as extras from "../tabs/extras/extras.js";
import { hiresFits, submitHires } from "../tabs/txt2img/hires.js";
import { note, toast } from "./notices.js";
import * as picture from "./init_image.js";
import { info, tabOf } from "./finished_pictures.js";
import { openMenu } from "./popup_menu.js";
import { withRoot } from "../scripts/root.js";

const ACTIONS = [["star", "Star", "S"], ["bin", "Delete", "Delete"], ["copy", "Copy the picture", "C"], ["text", "Copy text", "T"],
  ["download", "Download", "D"], ["reuse", "Reuse these settings", "R"], ["send", "Send to …", ""], ["hires", "Upscale with hires. fix", "H"]];
const SENDS = [["img2img", "Send to img2img"], ["inpaint", "Send to inpaint"], ["extras", "Send to Extras"], ["face", "Use this face"]];

shortcuts("Picture, with the focus in the results or on the full screen", ACTIONS.filter(([, , key]) => key).map(([, text, key]) => [key, text]));

const RUN = {
  star: one => star([one.id], !one.starred),
  bin: one => bin([one.id]),
  copy: one => copyPicture(one.url),
  text: async one => copy((await info(one)).infotext),
  reuse: async one => formOf(tabOf(one)).reuse((await info(one)).request),
  hires: async (one, tab) => submitHires((await info(one)).request, tab),
  img2img: async one => picture.send(one, (await info(one)).request),
  inpaint: async one => picture.send(one, (await info(one)).request, { inpaint: true }),
  face: asFace,
  extras: async one => extras.send({ url: one.url, infotext: (await info(one)).infotext, name: one.name }),
};

async function asFace(one, tab) {
  const { useFace } = await import("./guides/use_face.js");
  await useFace(tab === "img2img" ? tab : "txt2img", one.url);
}

async function star(ids, on) {
  tell("starred", { ids, on });
  try { await post("/easel/history/star", { ids, on }); }
  catch (error) { tell("starred", { ids, on: !on }); throw error; }
  toast(on ? "Starred." : "Star taken away.");
}

async function bin(ids) {
  await post("/easel/history/bin", { ids });
  tell("binned", ids);
  toast("The picture went to the bin.", { undo: () => restore(ids).catch(error => note(error.message, 8000)) });
}

async function restore(ids) {
  await post("/easel/history/restore", { ids });
  tell("restored", ids);
}

const title = (label, key) => key ? `${label} (${key})` : label;

function button([name, label, key]) {
  const look = { class: `tool icon-${name}`, "data-act": name, "aria-label": label, title: title(label, key), "aria-keyshortcuts": key || null };
  return name === "download" ? make("a", { ...look, role: "link", href: "#", download: true }) : make("button", { type: "button", ...look });
}

export class PictureActions {
  // `bar` is an empty element; `shown` answers with the picture that it is about; `left` is told when an action opens another tab.
  constructor(bar, { tab, shown, left = () => {} }) {
    this.bar = bar;
    this.tab = tab;
    this.shown = shown;
    this.left = left;
    bar.append(...ACTIONS.map(button));
    find('[data-act="send"]', bar).setAttribute("aria-haspopup", "menu");
    bar.addEventListener("click", event => {
      const name = event.target.closest("button[data-act]")?.dataset.act;
      if (name === "send") openMenu(event.target, "Send to", SENDS.map(([to, label]) => ({ label, act: () => this.run(to) })));
      else if (name in RUN) this.run(name);
    });
  }

  // Whether that is one of the actions.
  run(name) {
    const one = this.shown();
    if (!one || !RUN[name]) return false;
    if (["reuse", "img2img", "inpaint", "extras", "face"].includes(name)) this.left();
    Promise.resolve(RUN[name](one, this.tab)).catch(error => note(error.message, 8000));
    return true;
  }

  byKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return false;
    const found = ACTIONS.find(([, , key]) => key && key.toLowerCase() === event.key.toLowerCase());
    const own = found && find(`[data-act="${found[0]}"]`, this.bar);
    if (!own || own.matches(":disabled, .off")) return false;
    own.click();
    return true;
  }

  render() {
    const one = this.shown();
    for (const own of findAll('button:not([data-act="hires"])', this.bar)) own.disabled = !one;
    find('[data-act="star"]', this.bar).setAttribute("aria-pressed", String(Boolean(one?.starred)));
    const link = find('[data-act="download"]', this.bar);
    link.classList.toggle("off", !one);
    link.setAttribute("aria-disabled", String(!one));
    link.download = one?.name ?? "";
    if (one) link.href = withRoot(`/easel/image/${one.id}?download=true`);
    else link.removeAttribute("href");
    this.renderHires(one);
  }

  renderHires(one) {
    const own = find('[data-act="hires"]', this.bar), id = one?.id ?? "";
    if (own.dataset.id === id) return;
    own.disabled = true;
    own.dataset.id = id;
    if (one) info(one).then(({ request }) => { if (own.dataset.id === one.id) own.disabled = !hiresFits(request); }, () => { own.dataset.id = ""; });
  }
}
