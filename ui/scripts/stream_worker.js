// A shared worker: one stream for all pages of a browser, which allows six connections to one server.
import { ServerEvents } from "./server_events.js";

const STATES = ["queue", "status", "progress"];     // of these the newest of a kind tells all; a page that comes later gets it
const pages = new Set(), states = new Map();
let told = "";      // "connected" or "lost"

const stream = new ServerEvents((type, detail) => {
  if (type === "live") remember(detail);
  else told = type;
  if (type === "connected") states.clear();
  for (const page of pages) page.postMessage([type, detail]);
});

function remember(event) {
  if (event.type === "job") states.delete(`progress ${event.id}`);
  if (!STATES.includes(event.type)) return;
  const key = event.type === "progress" ? `progress ${event.job}` : event.type;
  states.delete(key);
  states.set(key, event);     // the newest stands last
}

function join(page) {
  if (pages.has(page)) return;
  pages.add(page);
  page.postMessage(["here"]);
  if (pages.size === 1) return stream.open();
  if (told) page.postMessage([told]);
  for (const event of states.values()) page.postMessage(["live", event]);
}

function leave(page) {
  pages.delete(page);
  if (pages.size) return;
  stream.close();
  told = "";
}

self.addEventListener("connect", ({ ports: [page] }) => {
  page.onmessage = ({ data }) => data === "join" ? join(page) : leave(page);
});
