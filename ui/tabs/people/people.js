// The People tab: what admins see and do. Nobody else is shown it, and the server would answer nobody else.
import { sure } from "../../parts/dialog.js";
import { note, toast } from "../../parts/notices.js";
import { openMenu } from "../../parts/popup_menu.js";
import { STATES } from "../../parts/worker_state.js";
import { appeared, find, make } from "../../scripts/dom.js";
import { ask, post } from "../../scripts/http.js";
import { withRoot } from "../../scripts/root.js";
import { currentTab } from "../../scripts/tabs.js";
import { AuditLog } from "./log.js";
import { invite, limits, newPassword } from "./dialogs.js";

const EVERY = 5000, ROLES = ["admin", "artist", "viewer"], ROLE_WORDS = { admin: "Admin", artist: "Artist", viewer: "Viewer" };
const bytes = number => number >= 2 ** 30 ? `${(number / 2 ** 30).toFixed(1)}\u00a0GB` : `${(number / 2 ** 20).toFixed(number < 2 ** 20 * 10 ? 1 : 0)}\u00a0MB`;
const moment = text => text ? new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "";

class People {
  constructor(root) {
    this.root = root;
    this.log = new AuditLog(root);
    root.addEventListener("click", event => this.clicked(event));
    find('[data-people="export"]', root).href = withRoot("/easel/people/audit.jsonl");
    new IntersectionObserver(entries => { if (entries.at(-1).isIntersecting) this.refresh(true); }).observe(root);
    setInterval(() => { if (currentTab() === "people" && !document.hidden) this.refresh(false); }, EVERY);
  }

  async refresh(whole) {
    try {
      const [{ people, invitations }, queue] = await Promise.all([ask("/easel/people"), ask("/easel/people/queue")]);
      if (!this.root.contains(document.activeElement) || document.activeElement.tagName !== "SELECT") this.showPeople(people);
      this.showInvitations(invitations);
      this.showQueue(queue);
      if (whole) await this.log.refresh();
      this.trouble("");
    } catch (error) { this.trouble(error.message); }
  }

  trouble(message) {
    const place = find(":scope > .problem", this.root);
    place.hidden = !message;
    place.textContent = message;
  }

  async tried(act, done) {
    try { await act(); if (done) toast(done); }
    catch (error) { note(error.message, 8000); }
    await this.refresh(true);
  }

  // ---- accounts ----

  showPeople(people) {
    const focused = document.activeElement?.dataset?.person;
    find(".people-list", this.root).replaceChildren(...people.map(one => this.person(one)));
    if (focused) find(`[data-person="${CSS.escape(focused)}"]`, this.root)?.focus({ preventScroll: true });
  }

  person(one) {
    const limit = name => one.limits.find(each => each.name === name)?.limit, disk = limit("disk"), queued = limit("queued");
    const role = make("select", { "aria-label": `Role of ${one.name}`, disabled: one.by_flags, onchange: () => this.tried(() => post("/easel/people/role", { name: one.name, role: role.value }), "Saved") },
      ...ROLES.map(value => make("option", { value, selected: value === one.role }, ROLE_WORDS[value])));
    const fact = (label, words) => make("span", { class: "person-fact" }, make("span", { class: "person-label" }, label), make("span", { translate: "no" }, words));
    return make("li", { class: `person${one.disabled ? " is-off" : ""}` },
      make("span", { class: "person-name" }, make("strong", { translate: "no" }, one.name), ...(one.disabled ? [make("em", {}, "disabled")] : []), ...(one.paused ? [make("em", {}, "paused")] : []),
        ...(one.by_flags ? [make("small", { class: "person-flags" }, "Named by --auth or EASEL_AUTH: role and password are changed there.")] : [])),
      role, fact("Last seen", moment(one.last_seen) || "–"), fact("Browsers", String(one.sessions)),
      fact("Waiting", queued == null ? String(one.pending) : `${one.pending} / ${queued}`), fact("Jobs", one.jobs.toLocaleString()), fact("Pictures", one.pictures.toLocaleString()),
      fact("Disk", disk == null ? bytes(one.disk) : `${bytes(one.disk)} / ${bytes(disk)}`),
      make("button", { type: "button", class: "act person-menu", "aria-haspopup": "menu", "aria-label": `What to do with ${one.name}`, "data-person": one.name, onclick: event => this.menu(event.currentTarget, one) }, "…"));
  }

  menu(button, one) {
    const { name } = one, send = (path, body, done) => this.tried(() => post(`/easel/people/${path}`, { name, ...body }), done);
    openMenu(button, name, [
      { label: "Limits…", act: () => limits(one, () => this.refresh(true)) },
      { label: one.paused ? "Let the jobs go on" : "Pause the jobs", act: () => send("queue/pause", { on: !one.paused }) },
      { label: "Cancel all jobs", disabled: !one.pending, act: async () => { if (await sure("Cancel all jobs of this person?", "Cancel all jobs")) send("queue/cancel", {}); } },
      { label: "Log out everywhere", disabled: !one.sessions, act: () => send("end-sessions", {}, "Every browser has to log in anew.") },
      { label: "New password…", disabled: one.by_flags, act: async () => { if (await sure("Make a link by which this person chooses a new password? The old one holds no longer, and its browsers have to log in anew.", "Make a link")) newPassword(name).finally(() => this.refresh(true)); } },
      one.disabled ? { label: "Open the account again", act: () => send("disable", { on: false }) } : { label: "Disable the account", disabled: one.by_flags, act: async () => { if (await sure("Disable this account? Its pictures stay.", "Disable the account")) send("disable", { on: true }); } },
    ]);
  }

  showInvitations(invitations) {
    const open = invitations.filter(one => !one.account && new Date(one.expires) > new Date());
    find(".people-invitations", this.root).replaceChildren(...open.map(one => make("li", {},
      make("span", {}, `Invitation as ${ROLE_WORDS[one.role]}, until ${moment(one.expires)}`),
      make("button", { type: "button", class: "act", onclick: () => this.tried(() => post(`/easel/people/invitations/${one.id}/revoke`)) }, "Take back"))));
  }

  // ---- everybody's queue, devices ----

  showQueue({ queues, all_paused, devices }) {
    const pause = find('[data-people="pause"]', this.root);
    pause.setAttribute("aria-pressed", all_paused);
    pause.textContent = all_paused ? "Let everybody go on" : "Pause everybody";
    find(".people-queues", this.root).replaceChildren(...queues.map(queue => this.queue(queue)));
    find(".people-devices", this.root).replaceChildren(...devices.map(device));
    this.none("queue", !queues.length);
    this.none("devices", !devices.length);
  }

  queue({ name, lines, total, paused }) {
    return make("section", { class: "people-queue" },
      make("h3", {}, make("span", { translate: "no" }, name), make("span", { class: "person-label" }, String(total)), ...(paused ? [make("em", {}, "paused")] : [])),
      make("ul", {}, ...lines.map(line => make("li", {},
        make("span", { class: "job-prompt", translate: "no" }, line.prompt || "–"), make("span", { class: "person-label", translate: "no" }, `${line.done} / ${line.count}`),
        make("button", { type: "button", class: "act", onclick: () => this.tried(() => post("/easel/people/queue/cancel", { name, job: line.id })) }, "Cancel")))));
  }

  none(name, on) { find(`[data-none="${name}"]`, this.root).hidden = !on; }

  clicked(event) {
    const name = event.target.closest("[data-people]")?.dataset.people, paused = find('[data-people="pause"]', this.root).getAttribute("aria-pressed") === "true";
    const acts = { invite: () => invite(() => this.refresh(true)), pause: () => this.tried(() => post("/easel/people/queue/pause", { on: !paused })), more: () => this.log.more() };
    acts[name]?.();
  }
}

function device({ name, state, device: words, checkpoint, drawing, memory, message }) {
  const facts = [words, memory ? bytes(memory) : "", checkpoint].filter(Boolean).join(" · ");
  return make("li", { class: `device is-${state}` }, make("strong", { translate: "no" }, name), make("span", { class: "device-state" }, STATES[state]),
    make("span", { class: "device-facts", translate: "no" }, facts), make("span", {}, `${drawing} drawn now`), ...(message ? [make("p", { translate: "no" }, message)] : []));
}

// Shown to admins alone, as soon as it is known who that is. What is in a tab is there when it is first opened.
ask("/easel/me").then(({ role, logged_in }) => {
  if (role !== "admin" || !logged_in) return;
  document.documentElement.classList.add("manages");
  appeared("#people .people").then(root => new People(root));
}, () => {});
