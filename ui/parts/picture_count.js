// How many pictures Generate would make, told beforehand where every combination of a prompt is drawn.
import { find, make } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { post } from "../scripts/http.js";

const COUNTED = ["prompt", "negative_prompt", "enable_hr", "hr_prompt", "hr_negative_prompt", "styles", "prompt_expansion", "batch_count", "batch_size"];
const PAUSE = 300, LOTS = 1e12;
const asked = {}, due = {};        // by tab: what was asked last, as text; the timer

function look({ tab, values }) {
  const counted = values.prompt_expansion === "Combinatorial" ? Object.fromEntries(COUNTED.filter(name => values[name] != null).map(name => [name, values[name]])) : null;
  const now = JSON.stringify(counted);
  if (asked[tab] === now) return;
  asked[tab] = now;
  clearTimeout(due[tab]);
  if (!counted) return show(tab, 0);
  due[tab] = setTimeout(async () => {
    const answer = await post("/easel/prompts/count", counted).catch(() => ({ pictures: 0 }));     // the field says so at Generate
    if (asked[tab] === now) show(tab, answer.pictures);
  }, PAUSE);
}

function show(tab, pictures) {
  const generate = find(`#${tab}_generate`), row = find(`#${tab}_styles_row`), several = pictures > 1;
  if (!generate || !row) return;
  if (several && pictures < LOTS) generate.dataset.pictures = pictures;
  else delete generate.dataset.pictures;
  const place = find(".count-told", row.parentElement) ?? make("p", { class: "count-told", role: "status" });
  if (!place.isConnected) row.after(place);
  place.textContent = several ? `Generate makes ${pictures < LOTS ? pictures.toLocaleString(document.documentElement.lang) : "more than a million million"} pictures.` : "";
}

on("form", look);
