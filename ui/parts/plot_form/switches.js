// The switches of each script, under A1111's words. A row: [name, label, kind, what it starts with, its choices or bounds].
import { make } from "../../scripts/dom.js";

const SWITCHES = {
  xyz: [["draw_legend", "Draw legend", "check", true], ["include_sub_images", "Include sub images in the history", "check", true], ["include_sub_grids", "Include sub grids in the ZIP", "check", false], ["keep_random_seeds", "Keep -1 for seeds", "check", false], ["vary_seeds_x", "Vary seeds for X", "check", false], ["vary_seeds_y", "Vary seeds for Y", "check", false], ["vary_seeds_z", "Vary seeds for Z", "check", false],
    ["margin", "Grid margins (px)", "number", 0, [0, 500]]],
  prompt_matrix: [["put_at_start", "Put variable parts at start of prompt", "check", false], ["different_seeds", "Use different seed for each picture", "check", false],
    ["prompt_type", "Select prompt", "choice", "positive", [["positive", "Positive"], ["negative", "Negative"]]], ["variations_delimiter", "Select joining char", "choice", "comma", [["comma", "Comma"], ["space", "Space"]]],
    ["margin", "Grid margins (px)", "number", 0, [0, 500]]],
  prompts: [["iterate_seed", "Iterate seed every line", "check", false], ["same_seed", "Use same random seed for all lines", "check", false],
    ["position", "Insert prompts at the", "choice", "start", [["start", "start"], ["end", "end"]]]],
};

export const startsOf = script => Object.fromEntries(SWITCHES[script].map(([name, , , start]) => [name, start]));

// Elements for a script's switches; `changed` gets the name and the value of one.
export function switchesOf(script, values, changed) {
  return SWITCHES[script].map(([name, label, kind, , more]) => {
    if (kind === "check") return make("label", { class: "plot-switch" }, make("input", { type: "checkbox", "data-switch": name, checked: Boolean(values[name]), onchange: event => changed(name, event.target.checked) }), label);
    if (kind === "number") return make("label", { class: "plot-switch" }, label, make("input", { type: "number", "data-switch": name, min: more[0], max: more[1], step: 1, value: values[name], oninput: event => changed(name, event.target.value === "" ? 0 : Number(event.target.value)) }));
    const select = make("select", { "data-switch": name, onchange: () => changed(name, select.value) }, ...more.map(([value, words]) => make("option", { value }, words)));
    select.value = values[name];
    return make("label", { class: "plot-switch" }, label, select);
  });
}
