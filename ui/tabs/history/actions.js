// What is done to pictures of the history: stars, the bin and the way back, downloads.
import { note, toast } from "../../parts/notices.js";
import { find, make } from "../../scripts/dom.js";
import { tell } from "../../scripts/events.js";
import { sentence } from "../../scripts/form.js";
import { ask, post } from "../../scripts/http.js";
import { withRoot } from "../../scripts/root.js";

const PAUSE = 400;                     // ms between two downloads
const MOST = 1000;                     // pictures that the server changes at once
const plural = count => count === 1 ? "The picture" : `${count.toLocaleString()} pictures`;

async function change(verb, ids, more) {
  for (let at = 0; at < ids.length; at += MOST) await post(`/easel/history/${verb}`, { ids: ids.slice(at, at + MOST), ...more });
}

export class HistoryActions {
  constructor(history, root) {
    this.history = history;
    this.leaving = new Set();     // ids on their way into the bin
    this.offer = null;
    this.sure = find(".sure", root.parentElement);
    this.sure.addEventListener("click", event => {
      const answer = event.target.closest("[data-sure]")?.dataset.sure;
      if (answer) this.sure.close(answer);
    });
    this.sure.addEventListener("close", () => { if (this.sure.returnValue === "yes") this.empty(); });
  }

  async tried(act) {
    try { await act(); return true; }
    catch (error) { note(sentence("", error.message), 8000); return false; }
  }

  // Seen at once; taken back if the server says no.
  async star(rows, on) {
    const changed = rows.filter(row => row.starred !== on);
    const show = starred => { this.history.update(changed, { starred }); tell("starred", { ids: changed.map(row => row.id), on: starred }); };
    show(on);
    const done = await this.tried(() => change("star", changed.map(row => row.id), { on }));
    if (!done) return show(!on);
    if (on) return toast("Starred.");
    toast("Star taken away.", { undo: () => this.star(changed, true).then(() => this.history.fresh()) });
    if (this.history.search.values.starred) this.history.remove(changed.map(row => row.id));
  }

  toggle(rows) { return this.star(rows, !rows.every(row => row.starred)); }

  async bin(rows) {
    const ids = rows.map(row => row.id).filter(id => !this.leaving.has(id));
    for (const id of ids) this.leaving.add(id);
    const done = ids.length && await this.tried(() => change("bin", ids));
    for (const id of ids) this.leaving.delete(id);
    if (!done) return;
    const turn = this.history.turn, places = this.history.remove(ids);
    tell("binned", ids);
    this.offer = toast(`${plural(ids.length)} went to the bin.`, { undo: () => this.back(ids, places, turn) });
  }

  async back(ids, places, turn) {
    if (!await this.tried(() => change("restore", ids))) return;
    if (turn === this.history.turn) this.history.bring(places);
    else this.history.reload();
    tell("restored", ids);
    toast(`${plural(ids.length)} came back.`);
  }

  async restore(rows) {
    const ids = rows.map(row => row.id);
    if (!ids.length || !await this.tried(() => change("restore", ids))) return;
    this.history.remove(ids);
    tell("restored", ids);
    toast(`${plural(ids.length)} came back from the bin.`);
  }

  async askFirst() {
    await this.tried(async () => {
      const { total } = await ask("/easel/history?binned=true&limit=1");
      if (!total) return note("The bin is empty already.", 5000);
      find("p", this.sure).textContent = `Delete ${total === 1 ? "the picture" : `all ${total.toLocaleString()} pictures`} in the bin for good? The files go too, and nothing brings them back.`;
      this.sure.returnValue = "";
      this.sure.showModal();
    });
  }

  async empty() {
    await this.tried(async () => {
      const { deleted } = await post("/easel/history/empty");
      this.offer?.close();
      toast(`${plural(deleted)} deleted.`);
      this.history.searched();
    });
  }

  // One after the other: a browser drops downloads that come all at once.
  async download(rows) {
    const there = rows.filter(row => !row.missing);
    if (there.length < rows.length) note(`${plural(rows.length - there.length)} cannot be downloaded: the file is gone.`, 8000);
    for (const row of there) {
      make("a", { href: withRoot(`/easel/image/${row.id}?download=true`), download: row.name }).click();
      await new Promise(resolve => setTimeout(resolve, PAUSE));
    }
  }
}
