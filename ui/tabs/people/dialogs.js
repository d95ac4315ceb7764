// The dialogs of the People tab: an invitation, a person's limits, a link for a new password.
import { note } from "../../parts/notices.js";
import { openSheet } from "../../parts/dialog.js";
import { copy } from "../../scripts/clipboard.js";
import { find, findAll, make } from "../../scripts/dom.js";
import { post } from "../../scripts/http.js";
import { withRoot } from "../../scripts/root.js";

const HOURS = [[24, "For a day"], [72, "For 3 days"], [168, "For a week"], [720, "For 30 days"]];
const ROLES = [["artist", "Artist: draws"], ["viewer", "Viewer: looks only"], ["admin", "Admin: manages everybody"]];
const secret = (words, value) => make("div", { class: "share-links" }, make("p", {}, words), make("input", { type: "text", readonly: true, value, "aria-label": words, onfocus: event => event.target.select() }), make("button", { type: "button", class: "act strong", onclick: () => copy(value) }, "Copy"));
const whole = path => new URL(withRoot(path), location.href).href;
const UNITS = ["", "KB", "MB", "GB", "TB"];

// A limit as it can be typed: bytes in the largest unit of which they are a whole number.
function typed({ name, limit }) {
  let unit = 0;
  if (name === "disk") while (limit && limit % 1024 === 0 && unit < UNITS.length - 1) { limit /= 1024; unit++; }
  return `${limit}${UNITS[unit]}`;
}

const options = list => list.map(([value, words]) => make("option", { value }, words));

export function invite(done) {
  const role = make("select", {}, ...options(ROLES)), hours = make("select", {}, ...options(HOURS)), problem = make("p", { class: "problem", role: "alert", hidden: true });
  hours.value = 72;
  const form = make("form", { class: "share-form", onsubmit: async event => {
    event.preventDefault();
    try {
      const { path } = await post("/easel/people/invitations", { role: role.value, hours: Number(hours.value) });
      form.replaceWith(secret("Send this link to one person. It is shown this once.", whole(path)));
      done();
    } catch (error) { problem.textContent = error.message; problem.hidden = false; }
  } }, make("label", {}, "Role", role), make("label", {}, "The link holds", hours), problem, make("div", { class: "sheet-acts" }, make("button", { type: "submit", class: "act strong" }, "Make a link")));
  openSheet("Invite a person", "share-sheet", form);
}

export function limits({ name, limits: known }, done) {
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const fields = known.map(limit => make("label", { title: limit.about }, limit.label, make("input", { type: "text", name: limit.name, autocomplete: "off", value: limit.own ? limit.limit === null ? "none" : typed(limit) : "", placeholder: limit.own || limit.limit == null ? "as the operator says" : `as the operator says: ${typed(limit)}` })));
  const sheet = openSheet("Limits", "share-sheet", make("p", { class: "sheet-hint" }, "A number such as 200, 16M or, for the disk, 10GB; none for no limit; empty for what the operator says."),
    make("form", { class: "share-form", onsubmit: async event => {
      event.preventDefault();
      const given = Object.fromEntries(findAll("input", event.target).map(({ name: limit, value }) => [limit, value.trim().toLowerCase() === "none" ? null : value.trim()]));
      try { await post("/easel/people/limits", { name, limits: given }); sheet.close(); done(); }
      catch (error) { refused(error, known, problem, event.target); }
    } }, make("p", { translate: "no" }, name), ...fields, problem, make("div", { class: "sheet-acts" }, make("button", { type: "submit", class: "act strong" }, "Save"))));
}

// Says which limit is none, and takes the person to the first of them.
function refused(error, known, place, form) {
  const wrong = new Map((error.problems ?? []).map(({ field, message }) => [field.replace(/^limits\./, ""), message]));
  const told = known.filter(limit => wrong.has(limit.name)).map(limit => `${limit.label} ${wrong.get(limit.name)}.`);
  place.replaceChildren(...(told.length ? told : [error.message]).map(words => make("span", { class: "problem-line" }, words)));
  place.hidden = false;
  for (const input of findAll("input", form)) input.setAttribute("aria-invalid", String(wrong.has(input.name)));
  find('[aria-invalid="true"]', form)?.focus();
}

export async function newPassword(name) {
  try {
    const { path } = await post("/easel/people/password", { name });
    openSheet("New password", "share-sheet", make("p", { translate: "no" }, name), secret("Send this link to the person, who chooses a password there. It holds for 3 days and is shown this once.", whole(path)));
  } catch (error) { note(error.message, 8000); }
}
