// Regions of the prompt: a mask for each of its parts between AND. What is in the fold is loaded when it is first opened.
import { appeared, find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { note } from "./notices.js";

const TABS = ["txt2img", "img2img"];

function mark(tab) {
  const { values, pending } = formOf(tab), regions = JSON.parse(pending.regions ?? values.regions ?? "[]");
  find(`#${tab}_regions_fold`)?.classList.toggle("acting", regions.some(region => region.mask));
}

for (const tab of TABS) appeared(`#${tab}_regions .record-list`).then(async place => {
  try {
    const { Regions } = await import("./guides/regions.js");
    (await Regions.made(tab)).put(place);
  } catch (error) { note(error.message, 8000); }
});
on("form", ({ tab }) => { if (TABS.includes(tab)) mark(tab); });
