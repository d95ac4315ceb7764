// The extensions of this Easel: what each is, whether it is on, and why not.
import { note, toast } from "../../parts/notices.js";
import { appeared, find, make } from "../../scripts/dom.js";
import { ask, JSON_TYPE } from "../../scripts/http.js";

const STATES = { on: "On", off: "Off", failed: "Failed", unusable: "Cannot be used" };

async function show() {
  const list = find("#settings_extensions");
  const told = await ask("/easel/extensions").catch(() => null);
  if (!list || !told) return;
  find(".extensions-admins").hidden = told.may_switch;
  list.replaceChildren(...told.extensions.map(extension => row(extension, told.may_switch)));
  find(".extensions-none").hidden = told.extensions.length > 0;
}

function row(extension, mine) {
  const { title, version, about, state, wanted, why } = extension, id = `extension_${extension.name}`;
  const box = make("input", { type: "checkbox", id, checked: wanted, disabled: !mine || state === "unusable", onchange: () => change(extension, box) });
  const later = state !== "unusable" && wanted !== (state === "on");
  return make("li", { class: `extension is-${state}` },
    make("label", { for: id }, box, make("strong", {}, title), make("span", { class: "extension-version", translate: "no" }, version)),
    make("span", { class: "extension-state" }, STATES[state]), make("p", {}, about),
    ...(why ? [make("p", { class: "extension-why", translate: "no" }, why)] : []),
    ...(later ? [make("p", { class: "extension-later" }, wanted ? "On after the next start" : "Off after the next start")] : []));
}

async function change({ name }, box) {
  try {
    await ask(`/easel/extensions/${encodeURIComponent(name)}`, { method: "PUT", headers: JSON_TYPE, body: JSON.stringify({ on: box.checked }) });
    toast("Saved");
  } catch (error) { note(error.message, 8000); }
  await show();
  find(`#${CSS.escape(box.id)}`)?.focus();
}

appeared("#settings_extensions").then(show);
