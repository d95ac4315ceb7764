// What the person has chosen on the Settings tab, as the server keeps it: only what differs from Easel's own.
let chosen = { ...window.easelPreferences };

export const preferences = () => chosen;
export const takePreferences = now => { chosen = now; };

// The field values that a tab starts with.
export const defaultsOf = tab => chosen[`defaults.${tab}`] ?? {};
