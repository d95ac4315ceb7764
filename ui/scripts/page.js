// The page's only script of its own in its HTML: all others come through it. It dresses what Gradio puts up, and opens the stream.
import "../parts/autocomplete.js";
import "../parts/server_away.js";
import "../parts/guides.js";
import "../parts/detailer.js";
import "../parts/extensions.js";
import "../parts/face_swap.js";
import "../parts/prompt_regions.js";
import "../parts/job_end.js";
import "../parts/model_lists.js";
import "../parts/networks.js";
import "../parts/page_drop.js";
import "../parts/picture_count.js";
import "../parts/quick_settings.js";
import "../parts/plot_form.js";
import "../parts/prompt_keys.js";
import "../parts/prompt_marks.js";
import "../parts/proportions.js";
import { resultsOf } from "../parts/results.js";
import "../parts/styles.js";
import "../parts/used_prompts.js";
import "../parts/user_menu.js";
import "../parts/scroll_to_results.js";
import "../parts/worker_state.js";
import "./location_hash.js";
import { appeared, find, findAll } from "./dom.js";
import "./choice_words.js";
import "./dropdown_keyboard.js";
import "./easel.js";
import { fields } from "./fields.js";
import { addHelp } from "./help.js";
import "./keys.js";
import { placeLists } from "./dropdown_placement.js";
import { addSlider } from "./sliders.js";
import * as stream from "./stream.js";
import "./tab_scripts.js";
import "./translate.js";

// Texts say in themselves what they are for, settings below their label; in the bar there is no room.
const HELPED = ".field:not(.field-text, .setting-sheet .field, #bar .field)";

function dress() {
  startResults();
  findAll(".field:not([data-dressed])").forEach(dressField);
  placeLists();
  for (const fold of findAll(".gr-accordion > button")) {
    fold.setAttribute("aria-expanded", fold.classList.contains("open"));
    find(".icon", fold)?.setAttribute("aria-hidden", "true");
  }
  for (const button of findAll("button.icon:not([title])")) button.title = button.textContent.trim();
}

function dressField(box) {
  const own = box.id.replace(/^[a-z0-9]+_(?=.)/, ""), inner = own.replace(/^(\w+?)_(\d+)_(\w+)$/, "$1[$2].$3");
  const name = inner in fields ? inner : own, field = fields[name] ?? fields[box.id];
  if (!field || !find("input, textarea", box)) return;
  box.dataset.dressed = name;
  if (field.help && box.matches(HELPED)) addHelp(box, field.label, field.help);
  else if (field.help) box.title = field.help;
  if (field.slider) addSlider(box, field.slider);
  const counter = find(`#${box.id}_tokens`);
  if (counter) find("textarea", box).setAttribute("aria-describedby", counter.id);
}

// A tab's results begin to live when the tab is first opened.
function startResults() {
  for (const place of findAll(".results:not([data-started])")) {
    place.dataset.started = true;
    resultsOf(place.closest("[id$='_results']").id.replace(/_results$/, "")).start(place);
  }
}

let due = false;
new MutationObserver(() => {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; dress(); });
}).observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["style"] });
dress();

appeared("#tabs .tabitem").then(stream.open);
