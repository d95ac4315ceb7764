// In one column the results are above or below what a person looks at: Generate brings them into view. Who generates by a key
// while writing goes on writing.
import { find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { currentTab } from "../scripts/tabs.js";

const TEXT = "textarea, input";
let keyed = false;      // the last thing that a person did was done by a key

const NARROW = matchMedia("(max-width: 820px)"), STILL = matchMedia("(prefers-reduced-motion: reduce)");

on("submitted", ({ tab }) => {
  if (!NARROW.matches || tab !== currentTab() || keyed && document.activeElement?.matches(TEXT)) return;
  find(`#${tab}_results`)?.scrollIntoView({ block: "start", behavior: STILL.matches ? "auto" : "smooth" });
});
for (const type of ["keydown", "pointerdown"]) document.addEventListener(type, () => { keyed = type === "keydown"; }, true);
