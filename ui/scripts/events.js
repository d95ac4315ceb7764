// News among the scripts of a page, by type: "live", "connected", "lost" (see stream.js), "form", "facts", "submitted", "problems",
// "reused", "binned", "restored", "preferences".
const listeners = {};

export const on = (type, handler) => (listeners[type] ??= []).push(handler);
export const tell = (type, detail) => (listeners[type] ?? []).forEach(handler => handler(detail));
