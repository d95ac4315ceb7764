// The picture that scores compare with: one of the history, or a file, which the history then keeps.
import { openSheet } from "../../parts/dialog.js";
import { make } from "../../scripts/dom.js";
import { ask, sendFile } from "../../scripts/http.js";

const SHOWN = 60, PAUSE = 300;      // pictures; ms after the last letter

// `chosen` gets the picture's id.
export function chooseReference(chosen) {
  const problem = make("p", { class: "problem", role: "alert", hidden: true }), list = make("div", { class: "reference-list", role: "group", "aria-label": "Pictures" });
  const search = make("input", { type: "search", placeholder: "Search", "aria-label": "Search in the history", autocomplete: "off", oninput: () => { clearTimeout(due); due = setTimeout(load, PAUSE); } });
  const file = make("input", { type: "file", accept: "image/*", onchange: () => tried(() => send(file.files[0])) });
  let due = 0;
  const take = id => { sheet.close(); chosen(id); };
  const tried = async act => {
    problem.hidden = true;
    try { await act(); }
    catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  };
  const send = async one => { if (one) take((await sendFile(`/easel/history/import?${new URLSearchParams({ name: one.name })}`, await one.arrayBuffer())).id); };
  const load = () => tried(async () => {
    const { images } = await ask(`/easel/history?${new URLSearchParams({ q: search.value, limit: SHOWN })}`);
    list.replaceChildren(...images.map(({ id, thumb, prompt }) => make("button", { type: "button", class: "reference-picture", translate: "no", title: prompt, "aria-label": prompt || id, onclick: () => take(id) }, make("img", { src: thumb, alt: "", loading: "lazy" }))));
    if (!images.length) list.replaceChildren(make("p", {}, "There are no such pictures."));
  });
  const sheet = openSheet("The picture to compare with", "plot-reference", make("div", { class: "plot-lines" }, make("label", { class: "act" }, "Take a file", file)), make("p", { class: "sheet-hint" }, "A file is kept in the history, or choose one of its pictures:"), search, list, problem);
  load();
}
