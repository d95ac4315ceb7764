// The audit log of the People tab: searched, read on, exported.
import { find, make } from "../../scripts/dom.js";
import { ask } from "../../scripts/http.js";
import { withRoot } from "../../scripts/root.js";
import { translated } from "../../scripts/translate.js";

const PAGE = 50, PAUSE = 250;      // ms after the last letter

export class AuditLog {
  constructor(root) {
    this.root = root;
    this.body = find(".people-log tbody", root);
    this.words = find(".people-words", root);
    this.words.addEventListener("input", () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.refresh(), PAUSE); });
  }

  get query() { return this.words.value.trim(); }

  async refresh() {
    this.body.replaceChildren();
    this.last = null;
    await this.more();
    find('[data-people="export"]', this.root).href = withRoot(`/easel/people/audit.jsonl?${new URLSearchParams({ q: this.query })}`);
  }

  async more() {
    const asked = this.query, { entries, days } = await ask(`/easel/people/audit?${new URLSearchParams({ q: asked, limit: PAGE, ...(this.last ? { before: this.last } : {}) })}`);
    if (asked !== this.query) return;
    this.body.append(...entries.map(row));
    this.last = entries.at(-1)?.number ?? this.last;
    find('[data-people="more"]', this.root).hidden = entries.length < PAGE;
    find('[data-none="log"]', this.root).hidden = this.body.children.length > 0;
    find(".people-kept", this.root).textContent = `Entries are kept for ${days} days.`;
  }
}

// What an act was about in detail is a list; names, numbers and words that were searched for stay as they are.
const told = detail => detail.split(", ").map(translated).join(", ");
const row = ({ moment, actor, action, subject, address, detail }) => make("tr", {},
  ...[new Date(moment).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" }), actor || "–", translated(action), subject === actor ? "" : translated(subject), address, told(detail)].map(words => make("td", {}, words)));
