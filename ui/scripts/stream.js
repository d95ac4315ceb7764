// What happens on the server, told to the scripts of this page as "connected", "live" and "lost". All pages that a browser shows
// to one person share a stream; where that cannot be, a page has its own.
import { tell } from "./events.js";
import { ServerEvents } from "./server_events.js";

const HERE_WITHIN = 5000, HIDDEN_AFTER = 30000;     // ms

export function open() {
  if (typeof SharedWorker === "undefined") own();
  else shared();
}

function shared() {
  const worker = new SharedWorker(new URL("./stream_worker.js", import.meta.url), { type: "module", name: `easel ${document.documentElement.dataset.user ?? ""}` });
  const { port } = worker, join = () => port.postMessage("join"), leave = () => port.postMessage("leave");
  const late = setTimeout(instead, HERE_WITHIN);
  worker.onerror = instead;
  port.onmessage = ({ data: [type, detail] }) => {
    if (type === "here") clearTimeout(late);
    else tell(type, detail);
  };
  join();
  // A page that is put aside would find hours of news when it is shown again; it joins anew instead.
  addEventListener("pagehide", leave);
  document.addEventListener("freeze", leave);
  addEventListener("pageshow", event => { if (event.persisted) join(); });
  document.addEventListener("resume", join);

  function instead() {
    clearTimeout(late);
    worker.onerror = port.onmessage = null;
    leave();
    own();
  }
}

function own() {
  const stream = new ServerEvents(tell);
  let timer = 0;
  stream.open();
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => hidden(stream), HIDDEN_AFTER);
    else if (!stream.source) stream.open();
  });
}

// Of the pages nobody looks at, one keeps its stream.
function hidden(stream) {
  if (!navigator.locks) return stream.close();
  navigator.locks.request("easel-hidden-stream", { ifAvailable: true }, lock => {
    if (!lock) return stream.close();
    return new Promise(resolve => document.addEventListener("visibilitychange", resolve, { once: true }));
  });
}
