// Pictures from elsewhere into the history: the files of a folder, a few at a time, while the page stays free.
import { say } from "../../parts/notices.js";
import { find, findAll, make } from "../../scripts/dom.js";
import { sendFile } from "../../scripts/http.js";

const AT_ONCE = 3, PICTURE = /\.(png|jpe?g|webp)$/i;
const LATER = [401, 403, 429, 503, 507];    // answers that say nothing of the file: the rest waits

export class Importer {
  // `done` is called when the files are through, and when it is stopped.
  constructor(box, done) {
    this.box = box;
    this.done = done;
    for (const input of findAll(".import-files", box)) input.addEventListener("change", () => this.take(input));
    box.addEventListener("click", event => this[event.target.closest("[data-import]")?.dataset.import]?.());
    window.addEventListener("beforeunload", event => { if (this.running) event.preventDefault(); });
  }

  take(input) {
    const files = [...input.files];
    input.value = "";
    this.waiting = files.filter(file => PICTURE.test(file.name) && !file.name.startsWith("."));
    this.others = files.length - this.waiting.length;
    this.all = this.waiting.length;
    this.tally = { taken: 0, known: 0, refused: [] };
    if (files.length) this.resume();
  }

  async resume() {
    this.stopped = false;
    this.why = "";
    this.running = true;
    this.render();
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.lane()));
    this.running = false;
    this.render();
    say(this.words().join(""));
    this.done(this.tally.taken);
  }

  stop(why = "") {
    this.stopped = true;
    this.why ||= why;
  }

  close() { this.show(false); }

  async lane() {
    while (this.waiting.length && !this.stopped) {
      const file = this.waiting.shift();
      const name = file.webkitRelativePath || file.name;
      try { await this.send(file, name); }
      catch (error) { this.failed(file, name, error); }
      this.render();
    }
  }

  async send(file, name) {
    const { known } = await sendFile(`/easel/history/import?${new URLSearchParams({ name, modified: Math.max(0, file.lastModified) })}`, await file.arrayBuffer());
    if (known) this.tally.known += 1;
    else this.tally.taken += 1;
  }

  // A file that cannot be read is noted; when the server cannot take any more, the file goes back into the line.
  failed(file, name, error) {
    const unread = error instanceof DOMException;
    if (unread || (error.status && !LATER.includes(error.status) && error.status < 500)) {
      this.tally.refused.push({ name, why: unread ? "The file cannot be opened." : error.message });
      return;
    }
    this.waiting.unshift(file);
    this.stop(error.status ? error.message : "Easel does not answer.");
  }

  // ---- what is shown ----

  show(open) {
    this.box.hidden = !open;
    find('[aria-controls="history_import"]').setAttribute("aria-expanded", open);
    find(".import-choose", this.box).hidden = Boolean(this.running);
    find(".import-run", this.box).hidden = !this.running;
  }

  // Words and numbers apart, so that each can be translated.
  words() {
    const { taken, known, refused } = this.tally, through = taken + known + refused.length;
    if (!this.all) return ["There is no PNG, JPEG or WebP picture among these files."];
    const parts = [`${through.toLocaleString()} of ${this.all.toLocaleString()}`];
    if (known) parts.push(`${known.toLocaleString()} known already`);
    if (refused.length) parts.push(`${refused.length.toLocaleString()} unreadable`);
    if (this.others) parts.push(`${this.others.toLocaleString()} other files left out`);
    const state = this.running ? (this.stopped ? "Stopping" : "Importing") : (this.waiting.length ? "Stopped" : "Imported");
    return [state, ": ", ...parts.flatMap((part, at) => at ? [", ", part] : [part]), ".", ...(this.why && !this.running ? [" ", this.why] : [])];
  }

  render() {
    const { tally, running } = this, button = name => find(`[data-import="${name}"]`, this.box);
    find(".import-choose", this.box).hidden = running;
    find(".import-run", this.box).hidden = false;
    const bar = find("progress", this.box);
    bar.max = this.all || 1;
    bar.value = tally.taken + tally.known + tally.refused.length;
    bar.hidden = !this.all;
    find(".import-line", this.box).replaceChildren(...this.words());
    button("stop").hidden = !running;
    button("resume").hidden = running || !this.waiting.length;
    button("close").hidden = running;
    this.renderRefused(tally.refused);
  }

  renderRefused(refused) {
    const fold = find(".import-refused", this.box), list = find("ul", fold);
    fold.hidden = !refused.length;
    find("summary", fold).textContent = `Files that were not taken (${refused.length})`;
    if (list.childElementCount > refused.length) list.replaceChildren();
    list.append(...refused.slice(list.childElementCount).map(({ name, why }) => make("li", {}, `${name}: ${why}`)));
  }
}
