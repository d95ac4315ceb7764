// Search in Settings: what has none of the words, in the language that is shown, steps back.
import { find, findAll } from "../../scripts/dom.js";

const words = text => text.toLocaleLowerCase().split(/\s+/).filter(Boolean);
const heard = element => [element.textContent, ...findAll("[title], [placeholder], input[type=text], textarea", element).map(one => `${one.title} ${one.placeholder ?? ""} ${one.value ?? ""}`), element.title].join(" ").toLocaleLowerCase();

function search(wanted) {
  let found = 0;
  for (const sheet of findAll("#settings .setting-sheet").filter(one => !one.closest(".looks .for-drawing"))) {
    const fits = text => wanted.every(word => text.includes(word)), own = fits(find("h2", sheet).textContent.toLocaleLowerCase());
    const fields = findAll(".field", sheet), left = fields.filter(field => own || fits(heard(field)));
    for (const field of fields) field.classList.toggle("unfit", !left.includes(field));
    const shown = own || left.length || fits(heard(sheet));
    sheet.classList.toggle("unfit", !shown);
    if (shown && !left.length) fields.forEach(field => field.classList.remove("unfit"));
    found += shown ? 1 : 0;
  }
  find(".settings-none").hidden = found > 0;
}

document.addEventListener("input", event => { if (event.target.matches?.(".settings-search")) search(words(event.target.value)); });
