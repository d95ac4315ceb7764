// Scripts of a tab, as A1111 calls them: X/Y/Z plot, prompt matrix, prompts from a file. While one is chosen, Generate draws it and
// says so. What is in the fold is loaded when it is first opened, or when a script is chosen already.
import { appeared, find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { translated } from "../scripts/translate.js";
import { note } from "./notices.js";
import { keptPlot, onPlotChange } from "./plot_form/form_state.js";

const TABS = ["txt2img", "img2img"];
const NAMES = { xyz: "plot", prompt_matrix: "prompt matrix", prompts: "prompts" };
const folds = {};       // by tab: a promise of what is in it

async function foldOf(tab) {
  const { Fold } = await import("./plot_form/fold.js");
  return folds[tab] ??= Fold.made(tab);
}

const tried = act => act().catch(error => note(error.message, 8000));

function begin(tab) {
  appeared(`#${tab}_plot .plot-form`).then(place => tried(async () => (await foldOf(tab)).put(place)));
  appeared(`#${tab}_generate`).then(() => {
    arm(tab);
    if (keptPlot(tab).script) tried(() => foldOf(tab));
  });
}

// Generate says what it draws, wherever the fold is.
function arm(tab, pictures = null) {
  const generate = find(`#${tab}_generate`), actions = find(`#${tab}_actions`), { script } = keptPlot(tab);
  find(`#${tab}_plot_fold`)?.classList.toggle("acting", Boolean(script));
  if (!generate || !actions) return;
  if (script) generate.dataset.plot = translated(NAMES[script]) + (pictures ? ` × ${pictures.toLocaleString(document.documentElement.lang || "en")}` : "");
  else delete generate.dataset.plot;
}

function clicked(event) {
  const tab = TABS.find(one => event.target.closest?.(`#${one}_generate`));
  if (!tab || !keptPlot(tab).script || find(`#${tab}_generate`).dataset.files) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  tried(async () => (await foldOf(tab)).draw());
}

TABS.forEach(begin);
onPlotChange(arm);
on("reused", ({ form: { tab }, plot }) => {
  if (plot) tried(async () => (await foldOf(tab)).take(plot));
  else if (keptPlot(tab).script) tried(async () => {
    (await foldOf(tab)).choose("");
    note("The script is switched off: Generate draws this one picture.", 8000);
  });
});
on("language", () => TABS.forEach(tab => arm(tab)));
document.addEventListener("click", clicked, true);      // before Gradio hears of it
