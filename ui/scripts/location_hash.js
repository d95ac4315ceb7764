// The address names the tab that is open, and a picture that is open in it: "#/history/<id>". A reload stays there; back and forward lead there.
import { appeared, findAll } from "./dom.js";
import { on, tell } from "./events.js";
import { currentTab, openTab } from "./tabs.js";

const LIST = '#tabs [role="tablist"]';
const pictures = {};        // by tab: the picture that is open in it

export function addressed() {
  const [, tab, picture] = location.hash.split("/").map(decoded);
  return { tab: tabs().some(button => button.dataset.tabId === tab) ? tab : firstTab(), picture };
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return ""; }      // whatever somebody has typed
}

// Those that are there for who looks at the page.
const tabs = () => findAll(`${LIST} [role="tab"]`).filter(button => getComputedStyle(button).display !== "none");
const firstTab = () => (document.documentElement.classList.contains("looks") ? "history" : tabs()[0]?.dataset.tabId);

// Told by a tab that shows one picture of its own, or none any more.
export function showsPicture(tab, id) {
  pictures[tab] = id;
  write();
}

// A tab or a picture that is opened is a step that can be taken back; one picture after the other is not.
function write() {
  const tab = currentTab(), picture = pictures[tab], now = addressed();
  if (now.tab === tab && now.picture === picture) return;
  const opens = now.tab !== tab || (picture && !now.picture);
  history[opens ? "pushState" : "replaceState"](null, "", `#/${tab}${picture ? `/${encodeURIComponent(picture)}` : ""}`);
}

function go() {
  const { tab, picture } = addressed();
  pictures[tab] = picture;
  openTab(tab);
  tell("address", { tab, picture });
}

appeared(LIST).then(() => {
  go();
  on("tab", write);
  addEventListener("popstate", go);
});
