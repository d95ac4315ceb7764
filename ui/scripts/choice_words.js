// Of lists to choose from: what is chosen, in the person's language. It stands over the box, which keeps the value itself.
import { findAll } from "./dom.js";
import { on } from "./events.js";
import { OWN_NAMES, translated } from "./translate.js";

let due = 0;

function show() {
  due = 0;
  for (const input of findAll('.field input[role="combobox"]')) {
    const { value, parentElement: place } = input, words = input.matches(".field-choice input") || OWN_NAMES.includes(value) ? translated(value) : value;
    if (words === value) delete place.dataset.words;
    else if (place.dataset.words !== words) place.dataset.words = words;
  }
}
const soon = () => { due ||= requestAnimationFrame(show); };

const folds = new MutationObserver(soon);
on("form", soon);
on("language", code => {
  folds.disconnect();
  if (code !== "en") folds.observe(document.body, { childList: true, subtree: true });
  soon();
});
