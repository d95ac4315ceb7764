// Sentences about a plot, put together of words that are translated one by one: the grid around them is nobody's language.
import { counted, leftWords } from "../../parts/plot_form/amounts.js";
import { translated } from "../../scripts/translate.js";

const STATES = { drawing: "Drawing", waiting: "Waiting", paused: "Paused", done: "Done", cancelled: "Cancelled" };

// "Drawing · 12 of 20 · 1 failed · about 30 s left"
export function progressWords({ state, done, failed, total, eta }) {
  const left = state === "drawing" && eta != null ? leftWords(eta) : "";
  return [translated(STATES[state] ?? state), translated(`${counted(done)} of ${counted(total)}`), failed ? translated(`${counted(failed)} failed`) : "", left].filter(Boolean).join(" · ");
}
