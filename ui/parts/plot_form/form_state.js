// What the fold of scripts holds, by tab, as any other setting: this browser tab's own first, else what was used last.
import { store, stored } from "../../scripts/storage.js";

const listeners = [], held = {};
const key = tab => `easel.plot.${tab}`;
const NOTHING = { script: "", axes: [{ label: "", values: "" }, { label: "", values: "" }], options: {}, text: "" };

// { script, axes: [{ label, values }], options, text }; `script` is "" while none is chosen.
export const keptPlot = tab => held[tab] ??= { ...NOTHING, ...(stored(sessionStorage, key(tab)) ?? stored(localStorage, key(tab))) };

export function keepPlot(tab, change) {
  held[tab] = { ...keptPlot(tab), ...change };
  store(sessionStorage, key(tab), held[tab]);
  store(localStorage, key(tab), held[tab]);
  tellPlot(tab);
}

// `pictures`: how many Generate would make, where that is known.
export const tellPlot = (tab, pictures) => listeners.forEach(listener => listener(tab, pictures));
export const onPlotChange = listener => listeners.push(listener);
