// Keys that work everywhere: Generate, Skip, Interrupt.
import { find } from "./dom.js";
import { currentTab } from "./tabs.js";

function press(name) {
  const button = find(`#${currentTab()}_${name}`);
  if (button && !button.disabled) button.click();
}

document.addEventListener("keydown", event => {
  if (event.isComposing || find("dialog:modal, :popover-open")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); press("generate"); }
  else if (event.key === "Enter" && event.altKey) { event.preventDefault(); press("skip"); }
  else if (event.key === "Escape" && event.target.getAttribute?.("aria-expanded") !== "true") press("interrupt");
}, true);
