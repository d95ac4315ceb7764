// Cards of networks ("extra networks") below the prompt: the row of their kinds. All else is loaded when a kind is first opened.
import { find, findAll } from "../scripts/dom.js";
import { shortcuts } from "../scripts/keys.js";
import { currentTab } from "../scripts/tabs.js";
import { note } from "./notices.js";

const GROUP = "Cards of networks";
const ROW = ".networks-kinds";
let box = null;     // the prompt box that had the focus last

const tabOf = button => button.closest("[id$='_networks']").id.replace(/_networks$/, "");
const inside = event => event.target.closest?.(".networks");

async function open(button) {
  const tab = tabOf(button), panel = find(`#${tab}_networks_panel`);
  reach(button);
  if (button.getAttribute("aria-expanded") === "true") return close(panel);
  try {
    const { openPanel } = await import("./networks/panel.js");
    await openPanel(tab, button.dataset.networks, box);
  } catch (error) { note(error.message, 8000); }
}

// The focus goes back to the row.
function close(panel) {
  const row = find(`#${panel.dataset.tab}_networks`), button = find('[aria-expanded="true"]', row);
  panel.hidden = true;
  button?.setAttribute("aria-expanded", "false");
  button?.focus({ preventScroll: true });
}

// One stop for Tab.
function reach(button) {
  for (const one of findAll("button", button.closest(ROW))) one.tabIndex = one === button ? 0 : -1;
}

function step(event) {
  const button = event.target.closest?.(`${ROW} button`), all = button ? findAll("button", button.closest(ROW)) : [], at = all.indexOf(button);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
  if (!button || to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const next = all[to % all.length];
  reach(next);
  next.focus();
}

shortcuts("Everywhere", [["Alt+N", "Cards of LoRAs, embeddings, hypernetworks and checkpoints", () => {
  const button = find(`#${currentTab()}_networks [tabindex="0"]`);
  if (!button) return false;
  open(button);
}]], { typing: true });
shortcuts(GROUP, [["Escape", "Close them", event => close(inside(event))]], { here: inside, typing: true });
shortcuts(GROUP, [[["Enter", "Space"], "Into the prompt, or out of it"], [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "From card to card"],
  ["I", "All about a card: notes, weight, trigger words"]]);
document.addEventListener("click", event => {
  const button = event.target.closest?.("[data-networks]"), closer = event.target.closest?.("[data-close-networks]");
  if (button) open(button);
  if (closer) close(inside(event));
});
document.addEventListener("keydown", step);
document.addEventListener("focusin", event => { if (event.target.matches?.(".prompt-box textarea")) box = event.target; });
