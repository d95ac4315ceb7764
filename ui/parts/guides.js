// The fold of guides: ControlNets and their kin. What is in it is loaded when it is first opened.
import { appeared, find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { note } from "./notices.js";

const TABS = ["txt2img", "img2img"];
const panels = {};      // by tab: a promise of the panel
let coming = null;      // the newest picture on its way to the server: whether it came there

// Generate waits for it.
export const arrived = () => coming;

export function arriving(promise) {
  const ended = coming = promise.finally(() => { if (coming === ended) coming = null; });
}

async function panelOf(tab) {
  const { Panel } = await import("./guides/panel.js");
  return panels[tab] ??= Panel.made(tab);
}

// The fold says how many of its units act.
function count(tab) {
  const fold = find(`#${tab}_guides_fold`);
  if (!fold) return;
  const { values, pending } = formOf(tab), units = JSON.parse(pending.guides ?? values.guides ?? "[]");
  fold.classList.toggle("acting", units.some(unit => unit.enabled));
}

for (const tab of TABS) appeared(`#${tab}_guides .record-list`).then(async place => {
  try { (await panelOf(tab)).put(place); } catch (error) { note(error.message, 8000); }
});
on("unfold", async ({ tab, name }) => { if (name.startsWith("guides[")) (await panelOf(tab)).reveal(name); });
on("form", ({ tab }) => { if (TABS.includes(tab)) count(tab); });
