// The Plots tab. All of it is loaded when the tab is first opened.
import { addressed } from "../../scripts/location_hash.js";
import { appeared } from "../../scripts/dom.js";
import { on } from "../../scripts/events.js";
import { shortcuts } from "../../scripts/keys.js";
import { note } from "../../parts/notices.js";

const TAB = "plots";
let router = null;

shortcuts("Plots, with the focus on a cell", [[["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "Other cells"], ["Enter", "Full screen"],
  [["Shift+ArrowLeft", "Shift+ArrowRight", "Shift+ArrowUp", "Shift+ArrowDown"], "Held: the neighbour's picture in this place"], ["X", "Compare with another cell"],
  ["M", "Everything that can be done with the cell"], [["+", "-"], "Larger or smaller cells"], [["[", "]"], "Page before, page behind"]]);

async function open(root) {
  try {
    const { PlotRouter } = await import("./router.js");
    router ??= await PlotRouter.opened(root);
    router.follow(addressed());
  } catch (error) { note(error.message, 8000); }
}

appeared(`#${TAB} .plots`).then(root => new IntersectionObserver(([{ isIntersecting }], watcher) => {
  if (!isIntersecting) return;
  watcher.disconnect();
  open(root);
}).observe(root));
on("address", to => router?.follow(to));
on("connected", () => router?.refresh());
on("live", event => { if (event.type === "plot") router?.heard(event); else if (event.type === "plot_gone") router?.lost(event.id); });
