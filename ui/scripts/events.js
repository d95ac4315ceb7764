// News among the scripts of a page, by type: "live", "connected", "lost" (see stream.js), "form", "facts", "submitted", "refused",
// "answered" and "unanswered" (what became of a click on Generate), "problems", "forever" with the run or null, "reused", "binned" and
// "restored" with ids, "starred" with ids and on, "pictures" when the list of them has changed, "running" with the running jobs,
// "preferences" when they are others, "language" with its code, "tab" with the name of the one that is open now.
const listeners = {};

export const on = (type, handler) => (listeners[type] ??= []).push(handler);

// One that breaks is told to the console, and the others hear all the same.
export function tell(type, detail) {
  for (const handler of listeners[type] ?? []) {
    try { handler(detail); } catch (error) { reportError(error); }
  }
}
