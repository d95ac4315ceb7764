// A plot as one file: a picture with legend, a page of its own, its cells, or its numbers.
import { note } from "../../parts/notices.js";
import { openSheet } from "../../parts/dialog.js";
import { make } from "../../scripts/dom.js";
import { withRoot } from "../../scripts/root.js";

const KINDS = [["png", "PNG: one picture, with the settings inside"], ["jpg", "JPEG: one picture, smaller"], ["webp", "WebP: one picture, smaller"], ["html", "HTML: one page with labels and zoom, for any browser"],
  ["zip", "ZIP: the pictures of all cells"], ["csv", "CSV: values and scores of the cells"]];
const PICTURES = ["png", "jpg", "webp"], SHAPED = [...PICTURES, "html"];
const NO_AXIS = 9;     // beyond all that a plot may have
const SCALES = [[1, "Full size"], [0.5, "Half"], [0.25, "A quarter"]];

export function openExport(viewer) {
  const { plot, layout } = viewer, paged = layout.pages.length > 0;
  const kind = make("select", {}, ...KINDS.map(([value, label]) => make("option", { value }, label)));
  const page = make("select", {}, make("option", { value: "" }, "All pages"), make("option", { value: "this" }, "Only the page that is seen"));
  const scale = make("select", {}, ...SCALES.map(([value, label]) => make("option", { value }, label)));
  const margin = make("input", { type: "number", min: 0, max: 500, step: 1, value: plot.options?.margin ?? 0 }), legend = make("input", { type: "checkbox", checked: plot.options?.draw_legend ?? true }), grids = make("input", { type: "checkbox", checked: plot.options?.include_sub_grids ?? false });
  const problem = make("p", { class: "problem", role: "alert", hidden: true }), go = make("button", { type: "submit", class: "act strong" }, "Download");
  const labels = { page: make("label", {}, "Pages", page), scale: make("label", {}, "Size of the cells", scale), margin: make("label", {}, "Margin between cells, in pixels", margin), legend: make("label", { class: "check" }, legend, "Draw the legend"), grids: make("label", { class: "check" }, grids, "Each page as a grid, too") };
  const render = () => {
    problem.hidden = true;
    labels.page.hidden = !paged || kind.value === "csv";
    labels.grids.hidden = kind.value !== "zip";
    for (const name of ["scale", "margin", "legend"]) labels[name].hidden = !(name === "scale" ? SHAPED : PICTURES).includes(kind.value);
  };
  const query = () => new URLSearchParams({ ...axesOf(layout), ...(kind.value === "zip" && grids.checked ? { grids: 1 } : {}), ...(paged && page.value ? { page: layout.pages.map(axis => layout.page[axis]).join(",") } : {}), ...(SHAPED.includes(kind.value) ? { scale: scale.value } : {}),
    ...(PICTURES.includes(kind.value) ? { margin: margin.value, legend: legend.checked ? 1 : 0 } : {}), ...(layout.hiddenCount ? { hide: hidden(layout) } : {}) });
  const send = async () => {
    go.disabled = true;
    problem.hidden = true;
    try { await download(`/easel/plots/${plot.id}/export.${kind.value}?${query()}`, `${fileName(plot)}.${kind.value}`); }
    catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    } finally { go.disabled = false; }
  };
  kind.addEventListener("change", render);
  openSheet("Export the plot", "plot-sheet", make("form", { class: "plot-form-sheet", onsubmit: event => { event.preventDefault(); send(); } },
    make("label", {}, "As", kind), labels.page, labels.scale, labels.margin, labels.legend, labels.grids, problem, make("div", { class: "sheet-acts" }, go)));
  render();
}

// A single axis stands in lines of the same length as on the page.
const axesOf = ({ single, columns, rows, length }) => single === null ? { columns, rows } : { columns: single, rows: NO_AXIS, line: length };

// "0:3,0:5": axis and value of every row and column that is hidden.
const hidden = layout => layout.hidden.flatMap((values, axis) => [...values].map(at => `${axis}:${at}`)).join(",");
const fileName = plot => (plot.title || "plot").replace(/[^\p{L}\p{N} ._-]+/gu, " ").trim().slice(0, 80) || "plot";

// What is refused says why; a file would not.
async function download(url, name) {
  note("The file is being made…", 4000);
  const answer = await fetch(withRoot(url)).catch(() => { throw new Error("Easel does not answer. Try again when it is back."); });
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw new Error(body.problems?.map(problem => problem.message).join("; ") || body.errors || `The server answered ${answer.status}.`);
  }
  const address = URL.createObjectURL(await answer.blob());
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}
