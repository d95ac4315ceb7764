// Who has logged out leaves nothing of theirs in this browser. What pages keep for a person ends with that person's id.
for (const storage of [localStorage, sessionStorage]) {
  for (const key of Object.keys(storage)) if (/^easel\..*@u[0-9a-f]{16}$/.test(key)) storage.removeItem(key);
}
