// News among the scripts of a page, by type: "live", "connected", "lost" (see stream.js), "form", "facts", "submitted", "problems",
// "reused", "binned" and "restored" with ids, "starred" with ids and on, "pictures" when the list of them has changed, "running" with the
// running jobs, "preferences".
const listeners = {};

export const on = (type, handler) => (listeners[type] ??= []).push(handler);
export const tell = (type, detail) => (listeners[type] ?? []).forEach(handler => handler(detail));
