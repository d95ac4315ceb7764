// The settings text of a picture, in the three parts that a place for it has.
import { find } from "../scripts/dom.js";

export function fillInfo(place, infotext) {
  const [, prompt, negative, settings] = /^([^]*?)(?:(?:^|\n)Negative prompt:([^]*?))?(?:(?:^|\n)(Steps: [^]*))?$/.exec(infotext);
  find(".infotext-prompt", place).textContent = prompt.trim();
  find(".infotext-negative", place).textContent = negative?.trim() ? `Negative prompt: ${negative.trim()}` : "";
  find(".infotext-settings", place).textContent = settings?.trim() ?? "";
}
