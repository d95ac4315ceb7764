// Extras: the chosen pictures, each of which becomes a job of its own. The browser remembers them by their ids.
import { say } from "../../parts/notices.js";
import { appeared, find, make } from "../../scripts/dom.js";
import { dropZone, filesOf, pasteZone } from "../../scripts/drop_zone.js";
import { on, tell } from "../../scripts/events.js";
import { formOf } from "../../scripts/form.js";
import { post, sendFile } from "../../scripts/http.js";
import { store, stored } from "../../scripts/storage.js";
import { openTab } from "../../scripts/tabs.js";
import { withRoot } from "../../scripts/root.js";

const TAB = "extras", KEPT = "easel.extras.sources", LARGEST = 64 * 2 ** 20, LONGEST = 100000, MOST = 200;
const box = () => find(`#${TAB}_init_image`);
const form = () => formOf(TAB);
let sources = stored(sessionStorage, KEPT) ?? stored(localStorage, KEPT) ?? [];

export const list = () => sources;

// ---- from outside ----

async function taken(file, name, infotext) {
  if (file.size > LARGEST) throw new Error(`${name} is larger than ${LARGEST / 2 ** 20} MB.`);
  const kept = await sendFile("/easel/upload?alpha=true", file);
  const text = infotext ?? await sendFile("/easel/settings", file).then(told => told.infotext, () => "");
  return { id: kept.id, width: kept.width, height: kept.height, name, text: text.length > LONGEST ? "" : text };
}

async function add(files, replace = false) {
  form().unmark("init_image");
  box()?.classList.add("busy");
  const problems = [], before = replace ? [] : sources;
  let found = [];
  for (const { file, name, infotext } of files.slice(0, MOST)) {
    try { found = [...found, await taken(file, name, infotext)]; keep([...before, ...found]); }
    catch (error) { problems.push(files.length > 1 ? `Not taken: ${name}. ${error.message}` : error.message); }
  }
  box()?.classList.remove("busy");
  if (files.length > MOST) problems.push(`Only the first ${MOST} of ${files.length} files were taken.`);
  if (problems.length) form().mark([{ field: "init_image", message: problems.join(" ") }]);
  if (found.length) say(found.length > 1 ? `${found.length} pictures taken.` : `Picture of ${found[0].width} by ${found[0].height} pixels taken.`);
}

// A picture of this page (its `url`) or from outside (its `file`), with its text if that is known already.
export async function send({ url, file, infotext, name }) {
  await openTab(TAB);
  const blob = file ?? await (await fetch(url)).blob();
  await add([{ file: blob, name: name ?? file?.name ?? "", infotext }], true);
}

function keep(next) {
  const known = new Set();
  sources = next.filter(({ id, name }) => !known.has(id + name) && known.add(id + name));
  store(sessionStorage, KEPT, sources);
  store(localStorage, KEPT, sources);
  render();
}

// ---- what is shown ----

function row(source) {
  const size = `${source.width} × ${source.height}`, what = source.name || "Picture";
  return make("li", { class: "source" },
    make("img", { src: withRoot(`/easel/upload/${source.id}`), alt: "", loading: "lazy" }),
    make("span", { class: "source-name", title: what }, what), make("span", { class: "source-size" }, size),
    make("button", { type: "button", class: "source-remove", "aria-label": `Remove ${what}`, title: "Remove", onclick: () => keep(sources.filter(one => one !== source)) }, "×"));
}

function render() {
  const place = box();
  if (!place || !find(".sources-list", place)) return;
  place.classList.toggle("filled", sources.length > 0);
  find(".sources-list", place).hidden = find(".sources-acts", place).hidden = !sources.length;
  find(".sources-list", place).replaceChildren(...sources.map(row));
  find(".sources-count", place).textContent = sources.length > 1 ? `${sources.length} pictures, one job each` : "";
}

// ---- the jobs ----

const named = source => source.name ? { output_name: source.name.replace(/\.[^.]*$/, ""), output_folder: "extras" } : {};

export async function generate(names, values) {
  const fields = Object.fromEntries(names.map((name, i) => [name, values[i]]));
  if (!sources.length) return form().answer({ problems: [{ field: "init_image", message: "Choose a picture first." }] });
  form().answer(null);
  for (const source of [...sources]) {
    const values = { ...fields, process: "Extras", init_image: source.id, source_text: source.text, ...(sources.length > 1 ? named(source) : {}) };
    try {
      const job = await post("/easel/jobs", values);
      tell("submitted", { job: job.id, tab: TAB });
    } catch (error) {
      return form().answer({ problems: error.problems?.length ? error.problems : [{ field: "", message: error.message }] });
    }
  }
}

// ---- wiring ----

const listed = files => [...files].map(file => ({ file, name: file.name ?? "" }));
const acts = { more: () => find(".extras-file", box()).click(), clear: () => keep([]) };

async function dropped(transfer) {
  const files = await filesOf(transfer);
  if (files.length) add(listed(files));
}

document.addEventListener("change", event => {
  if (!event.target.matches?.(".extras-file") || !event.target.files.length) return;
  add(listed(event.target.files));
  event.target.value = "";
}, true);
document.addEventListener("click", event => acts[event.target.closest?.("[data-extras]")?.dataset.extras]?.());
dropZone(`#${TAB}_init_image`, dropped);
pasteZone(TAB, pasted => add(pasted.map(file => ({ file, name: "" }))));
on("form", one => { if (one.tab === TAB) render(); });
appeared(".sources-list").then(render);
