// What preprocessors have made for units: kept by picture and preprocessor, so that a refresh of the page loses none.
import { store, stored } from "../../scripts/storage.js";

const KEY = "easel.guides.previews", MOST = 20;
const read = () => stored(localStorage, KEY) ?? [];
const same = unit => one => one.image === unit.image && one.module === unit.module;

// The id of what was last made of a unit's picture; null where there is none.
export function previewOf(unit) {
  return unit.image ? read().find(same(unit))?.preview ?? null : null;
}

// `preview` is an id, or null where the person has closed it.
export function keepPreview(unit, preview) {
  if (!unit.image) return;
  const others = read().filter(one => !same(unit)(one)), { image, module } = unit;
  store(localStorage, KEY, preview ? [{ image, module, preview }, ...others].slice(0, MOST) : others);
}
