// What the person has chosen on the Settings tab, as the server keeps it: only what differs from Easel's own.
import { tell } from "./events.js";

let chosen = { ...window.easelPreferences };

export const preferences = () => chosen;
export function takePreferences(now) {
  chosen = now;
  tell("preferences", now);
}

// The field values that a tab starts with.
export const defaultsOf = tab => chosen[`defaults.${tab}`] ?? {};
