// The tab that is open, by its name; and the way into one.
import { appeared, find, findAll } from "./dom.js";
import { tell } from "./events.js";

export const currentTab = () => find('#tabs [role="tab"][aria-selected="true"]')?.id.replace(/^tab_(.*)-button$/, "$1") ?? "txt2img";

export function openTab(name) {
  const button = find(`#tab_${name}-button`);
  const hides = currentTab() !== name;
  if (hides) for (const sheet of findAll('#tabs [role="tabpanel"] dialog:modal')) sheet.close();      // out of sight it would still hold the page
  const loses = hides && document.activeElement?.closest('#tabs [role="tabpanel"]');
  if (hides) button?.click();
  if (loses) button?.focus({ preventScroll: true });        // what had the focus goes out of sight
  button?.scrollIntoView({ block: "nearest", inline: "nearest" });
  return appeared(`#${name}_apply`);
}

appeared('#tabs [role="tablist"]').then(list => new MutationObserver(() => tell("tab", currentTab())).observe(list, { subtree: true, attributeFilter: ["aria-selected"] }));

// On a narrow page the bar scrolls sideways: the open tab stays in sight, and the page where it is.
function bringIntoBar(button) {
  const bar = button?.closest(".tab-container");
  if (!bar) return;
  const tab = button.getBoundingClientRect(), frame = bar.getBoundingClientRect();
  bar.scrollLeft += Math.min(0, tab.left - frame.left) || Math.max(0, tab.right - frame.right);
}

document.addEventListener("click", event => bringIntoBar(event.target.closest?.('#tabs [role="tab"]')));
addEventListener("resize", () => bringIntoBar(find(`#tab_${currentTab()}-button`)));

// Arrows lead from one tab to the next; Enter or Space opens the one with the focus.
document.addEventListener("keydown", event => {
  const list = event.target.closest?.('#tabs [role="tab"]')?.closest('[role="tablist"]');
  if (!list || event.ctrlKey || event.altKey || event.metaKey) return;
  const tabs = findAll('[role="tab"]', list).filter(tab => tab.checkVisibility()), at = tabs.indexOf(event.target), last = tabs.length - 1;
  const to = { ArrowRight: at < last ? at + 1 : 0, ArrowLeft: at > 0 ? at - 1 : last, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  tabs[to].focus();
});
