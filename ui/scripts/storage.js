// What the browser keeps, as JSON.
export function stored(storage, key) {
  try { return JSON.parse(storage.getItem(key)); } catch { return null; }
}

export function store(storage, key, value) {
  try { storage.setItem(key, JSON.stringify(value)); } catch { /* a full or forbidden storage must not stop the page */ }
}
