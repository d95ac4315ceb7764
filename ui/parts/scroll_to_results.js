// In one column the results are above or below what a person looks at: Generate brings them into view.
import { find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { currentTab } from "../scripts/tabs.js";

const NARROW = matchMedia("(max-width: 820px)"), STILL = matchMedia("(prefers-reduced-motion: reduce)");

on("submitted", ({ tab }) => {
  if (!NARROW.matches || tab !== currentTab()) return;
  find(`#${tab}_results`)?.scrollIntoView({ block: "start", behavior: STILL.matches ? "auto" : "smooth" });
});
