// What the browser keeps, as JSON: for each who logs in with it apart. Where nobody logs in there is no name.
const own = (key, user = document.documentElement.dataset.user) => user ? `${key}@${user}` : key;

export function stored(storage, key) {
  try { return JSON.parse(storage.getItem(own(key))); } catch { return null; }
}

export function store(storage, key, value) {
  try { storage.setItem(own(key), JSON.stringify(value)); } catch { /* a full or forbidden storage must not stop the page */ }
}
