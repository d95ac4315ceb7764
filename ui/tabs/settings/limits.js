// What the person may ask for, and what of it is used.
import { appeared, find, make } from "../../scripts/dom.js";
import { on } from "../../scripts/events.js";
import { ask } from "../../scripts/http.js";
import { currentTab } from "../../scripts/tabs.js";

const words = (name, number) => name !== "disk" ? number.toLocaleString() : number >= 2 ** 30 ? `${(number / 2 ** 30).toFixed(1)} GB` : `${Math.round(number / 2 ** 20)} MB`;

async function show() {
  const list = find("#settings_limits"), told = await ask("/easel/limits").catch(() => null);
  if (!list || !told) return;
  const limited = told.limits.filter(({ limit }) => limit !== null);
  list.replaceChildren(...limited.map(row));
  find(".limits-none").hidden = limited.length > 0;
}

function row({ name, label, limit, used }) {
  const share = used === null ? null : Math.min(used / Math.max(limit, 1), 1);
  return make("li", {}, make("span", {}, label), make("span", { translate: "no" }, used === null ? words(name, limit) : `${words(name, used)} / ${words(name, limit)}`),
    ...(share === null ? [] : [make("progress", { max: 1, value: share, "aria-label": label })]));
}

appeared("#settings_limits").then(list => {
  show();
  new IntersectionObserver(entries => { if (entries.at(-1).isIntersecting) show(); }).observe(list.parentElement);
});
on("live", event => { if (event.type === "queue" && currentTab() === "settings") show(); });
