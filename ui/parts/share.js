// Links by which others see a picture or a plot: made, copied and taken back in one dialog.
import { copy } from "../scripts/clipboard.js";
import { make } from "../scripts/dom.js";
import { ask, post } from "../scripts/http.js";
import { withRoot } from "../scripts/root.js";
import { openSheet } from "./dialog.js";

const ENDS = [["", "It does not end"], ["1", "After a day"], ["7", "After a week"], ["30", "After 30 days"]];
const WORDS = {
  picture: { title: "Share the picture", settings: "Show its settings, too", without: "Without its settings: the file is sent without them." },
  plot: { title: "Share the plot", settings: "Show its settings, too, and those in the pictures", without: "The grid with its labels is seen. Without the settings: the files are sent without them." },
};
const OPEN_TO = { open: "Whoever has the link can open it, without a login.", login: "Whoever can log in to this Easel and has the link can open it." };

// `kind` is "picture" or "plot".
export function openShare(kind, id) {
  const words = WORDS[kind], list = make("ul", { class: "share-links", "aria-label": "Links" });
  const hint = make("p", { class: "sheet-hint" }), problem = make("p", { class: "problem", role: "alert", hidden: true });
  const settings = make("input", { type: "checkbox" }), days = make("select", {}, ...ENDS.map(([value, label]) => make("option", { value }, label)));
  const tried = async act => {
    problem.hidden = true;
    try { await act(); await show(); }
    catch (error) { problem.textContent = error.message; problem.hidden = false; }
  };
  const create = () => tried(async () => {
    const made = await post("/easel/links", { kind, id, settings: settings.checked, days: days.value ? Number(days.value) : null });
    await copy(address(made));
  });
  const show = async () => {
    const { links, open_to } = await ask(`/easel/links?id=${encodeURIComponent(id)}`);
    hint.textContent = OPEN_TO[open_to];
    list.replaceChildren(...links.map(link => row(link, () => tried(() => post(`/easel/links/${link.token}/revoke`)))));
  };
  openSheet(words.title, "share-sheet", hint, make("form", { class: "share-form", onsubmit: event => { event.preventDefault(); create(); } },
    make("label", { class: "check" }, settings, words.settings), make("p", { class: "sheet-hint" }, words.without), make("label", {}, "Ends", days),
    problem, make("div", { class: "sheet-acts" }, make("button", { type: "submit", class: "act strong" }, "Make a link and copy it"))), list);
  tried(() => {});
}

const address = ({ token }) => new URL(withRoot(`/share/${token}`), location.href).href;

function row(link, revoke) {
  const { settings, expires } = link, day = expires && new Date(expires).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const box = make("input", { type: "text", readonly: true, value: address(link), "aria-label": "The link", onfocus: () => box.select() });
  return make("li", {}, box,
    make("span", { class: "share-facts" }, make("span", {}, settings ? "with settings" : "without settings"), make("span", {}, day ? `until ${day}` : "without an end")),
    make("button", { type: "button", class: "act", onclick: () => copy(box.value) }, "Copy"), make("a", { class: "act", href: box.value, target: "_blank", rel: "noopener" }, "Open"),
    make("button", { type: "button", class: "act danger", onclick: revoke }, "Take back"));
}
