// What the browser keeps, as JSON: for each who logs in with it apart. Where nobody logs in there is no name.
// Nothing is kept of others who were logged in before.
const others = (key, user = document.documentElement.dataset.user) => user && /^easel\..*@u[0-9a-f]{16}$/.test(key) && !key.endsWith(`@${user}`);
const own = (key, user = document.documentElement.dataset.user) => user ? `${key}@${user}` : key;

try {
  for (const storage of [localStorage, sessionStorage]) Object.keys(storage).filter(key => others(key)).forEach(key => storage.removeItem(key));
} catch { /* a forbidden storage keeps nothing */ }

export function stored(storage, key) {
  try { return JSON.parse(storage.getItem(own(key))); } catch { return null; }
}

export function store(storage, key, value) {
  try { storage.setItem(own(key), JSON.stringify(value)); } catch { /* a full or forbidden storage must not stop the page */ }
}
