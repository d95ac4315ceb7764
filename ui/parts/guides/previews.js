// What preprocessors have made of pictures: kept by picture and preprocessor, so that a refresh of the page loses none;
// and of what was made that is used as a picture: of which.
import { store, stored } from "../../scripts/storage.js";

const KEY = "easel.guides.previews", ORIGINS = "easel.guides.origins", MOST = 20;
let kept = null;
const read = () => kept ??= stored(localStorage, KEY) ?? [];
addEventListener("storage", ({ key }) => { if (key === KEY) kept = null; });      // another page has kept some
const same = looked => one => one.image === looked.image && one.module === looked.module;

// What was made of a picture that is looked at so: its id, and whether with other settings. null where there is none.
export function previewOf(looked) {
  const made = looked.image ? read().filter(same(looked)) : [], exact = made.find(one => one.settings === looked.settings);
  return made.length ? { id: (exact ?? made[0]).preview, stale: !exact } : null;
}

// `preview` is an id, or null where the person has closed what was made of this picture.
export function keepPreview(looked, preview) {
  if (!looked.image) return;
  const others = read().filter(one => !same(looked)(one) || preview && one.settings !== looked.settings);
  kept = preview ? [{ ...looked, preview }, ...others].slice(0, MOST) : others;
  store(localStorage, KEY, kept);
}

// Of which picture an upload was made, by which preprocessor, and of poses its people; null where it was not.
export const originOf = id => (stored(localStorage, ORIGINS) ?? []).find(one => one.id === id)?.origin ?? null;

export function keepOrigin(id, origin) {
  const others = (stored(localStorage, ORIGINS) ?? []).filter(one => one.id !== id);
  store(localStorage, ORIGINS, [{ id, origin }, ...others].slice(0, MOST));
}
