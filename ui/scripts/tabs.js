// The tab that is open, by its name; and the way into one.
import { appeared, find } from "./dom.js";

export const currentTab = () => find('#tabs [role="tab"][aria-selected="true"]')?.id.replace(/^tab_(.*)-button$/, "$1") ?? "txt2img";

export function openTab(name) {
  const button = find(`#tab_${name}-button`);
  if (currentTab() !== name) button?.click();
  button?.scrollIntoView({ block: "nearest", inline: "nearest" });
  return appeared(`#${name}_apply`);
}
