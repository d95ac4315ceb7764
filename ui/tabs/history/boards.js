// The boards of the History tab: a chip for each, which shows its pictures and takes what is dropped on it; menus put pictures on boards.
import { sure } from "../../parts/dialog.js";
import { note, toast } from "../../parts/notices.js";
import { openMenu } from "../../parts/popup_menu.js";
import { shareBoard } from "./share_board.js";
import { find, findAll, make } from "../../scripts/dom.js";
import { ask, post } from "../../scripts/http.js";

const DRAGGED = "application/x-easel-pictures";
const are = (count, where) => count === 1 ? `The picture is ${where}` : `${count.toLocaleString()} pictures are ${where}`;

export class HistoryBoards {
  constructor(history, root) {
    this.history = history;
    this.list = [];
    this.ofOthers = [];
    this.people = [];
    this.row = find(".boards", root);
    this.dialog = find(".board-name", root.parentElement);
    this.row.addEventListener("click", event => this.clicked(event));
    this.row.addEventListener("contextmenu", event => this.menuOf(event));
    for (const type of ["dragover", "dragleave", "drop"]) this.row.addEventListener(type, event => this.over(event));
    root.addEventListener("dragstart", event => this.drag(event));
    root.addEventListener("dragover", event => this.stay(event));
    find("form", this.dialog).addEventListener("submit", event => this.named(event));
    find("[data-board-name=cancel]", this.dialog).addEventListener("click", () => this.dialog.close());
    addEventListener("focus", () => this.learn());      // another page may have changed them
    this.learn();
  }

  get chosen() { return this.list.find(board => board.id === this.history.search.board) ?? null; }

  isOfOthers(id) { return this.ofOthers.some(board => board.id === id); }

  async learn() {
    try { ({ boards: this.list, of_others: this.ofOthers, people: this.people } = await ask("/easel/boards")); }
    catch { return; }
    this.render();
  }

  render() {
    const { board } = this.history.search;
    const chip = (id, words, attributes = {}) => make("button", { type: "button", class: "act board", "data-board": id, "aria-pressed": String(board === id), ...attributes }, ...words);
    const focused = document.activeElement?.dataset?.board;
    this.row.replaceChildren(...(this.list.length || this.ofOthers.length ? [chip("", ["All pictures"])] : []),
      ...this.list.map(({ id, name, count, shared }) => chip(id, [make("span", { translate: "no" }, name), make("span", { class: "board-count" }, String(count))],
        { class: `act board${shared.length ? " is-shared" : ""}`, title: "Shows this board. Pictures can be dropped here; the right button or the menu key renames or deletes it." })),
      ...this.ofOthers.map(({ id, name, count, owner }) => chip(id, [make("span", { translate: "no" }, name), make("span", { class: "board-owner", translate: "no" }, owner), make("span", { class: "board-count" }, String(count))],
        { class: "act board of-others", title: "A board that somebody shows you" })),
      ...(this.chosen ? [make("button", { type: "button", class: "act", "data-boards": "edit", "aria-haspopup": "menu" }, "Board…")] : []),
      make("button", { type: "button", class: "act", "data-boards": "create" }, "New board…"));
    if (focused !== undefined) find(`[data-board="${CSS.escape(focused)}"]`, this.row)?.focus({ preventScroll: true });
  }

  clicked(event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.boards === "create") this.ask(null, []);
    else if (button.dataset.boards === "edit") this.edit(button, this.chosen);
    else this.history.search.showBoard(button.dataset.board);
  }

  menuOf(event) {
    const board = this.list.find(({ id }) => id === event.target.closest(".board")?.dataset.board);
    if (!board) return;
    event.preventDefault();
    this.edit(event, board);
  }

  edit(at, board) {
    openMenu(at, "Board", [{ label: "Rename…", act: () => this.ask(board, []) }, ...(this.people.length ? [{ label: "Share…", act: () => shareBoard(board, this.people, () => this.learn()) }] : []), { label: "Delete the board", act: () => this.remove(board) }]);
  }

  // ---- a name is asked for: of a new board, on which `rows` are put, or another one for `board` ----

  ask(board, rows) {
    Object.assign(this, { renamed: board, waiting: rows });
    const input = find("input", this.dialog);
    find("h2", this.dialog).textContent = board ? "Rename the board" : "New board";
    find(".problem", this.dialog).hidden = true;
    input.value = board?.name ?? "";
    this.dialog.showModal();
    input.select();
  }

  async named(event) {
    event.preventDefault();
    const name = find("input", this.dialog).value, place = find(".problem", this.dialog);
    try {
      const made = await post(this.renamed ? `/easel/boards/${this.renamed.id}/rename` : "/easel/boards", { name });
      this.dialog.close();
      await this.learn();
      if (this.waiting.length) await this.put(made, this.waiting);
    } catch (error) {
      place.textContent = error.message;
      place.hidden = false;
    }
  }

  async tried(act) {
    try { await act(); return true; }
    catch (error) { note(error.message, 8000); return false; }
    finally { this.learn(); }
  }

  async remove(board) {
    if (!await sure("Delete this board? Its pictures stay in the history.", "Delete the board")) return;
    const shown = this.chosen === board;
    if (!await this.tried(() => post(`/easel/boards/${board.id}/delete`))) return;
    if (shown) this.history.search.showBoard("");
    toast("Board deleted.");
  }

  // ---- pictures come and go ----

  async put(board, rows) {
    const ids = rows.map(row => row.id);
    if (await this.tried(() => post(`/easel/boards/${board.id}/add`, { ids }))) {
      this.history.details.forget(ids);
      toast(are(ids.length, `on the board ${board.name} now.`), { undo: () => this.take(board, rows, false) });
    }
  }

  async take(board, rows, told = true) {
    const ids = rows.map(row => row.id);
    if (!await this.tried(() => post(`/easel/boards/${board.id}/remove`, { ids }))) return;
    this.history.details.forget(ids);
    if (this.chosen?.id === board.id) this.history.remove(ids);
    if (told) toast(are(ids.length, `no longer on the board ${board.name}.`), { undo: () => this.put(board, rows).then(() => this.history.fresh()) });
  }

  // Of one picture the menu says on which boards it is.
  async menu(at, rows) {
    if (!rows.length) return;
    const on = rows.length === 1 ? (await ask(`/easel/image/${rows[0].id}/info`).catch(() => ({ boards: [] }))).boards : [];
    const { chosen } = this, several = rows.length > 1;
    openMenu(at, "Boards", [
      ...this.list.map(board => ({ label: board.name, verbatim: true, checked: several ? undefined : on.includes(board.id), act: () => on.includes(board.id) ? this.take(board, rows) : this.put(board, rows) })),
      ...(several && chosen ? [{ label: "Take off this board", act: () => this.take(chosen, rows) }] : []),
      { label: "New board…", act: () => this.ask(null, rows) },
    ]);
  }

  // ---- by hand ----

  drag(event) {
    const { grid, selection } = this.history, row = grid.rowOf(event.target);
    if (!row || row.shared_by) return;
    const rows = selection.ids.has(row.id) ? selection.rows() : [row];
    event.dataTransfer.effectAllowed = "copy";
    event.dataTransfer.setData(DRAGGED, JSON.stringify(rows.map(one => one.id)));
    event.dataTransfer.setData("text/uri-list", new URL(row.url, location.href).href);      // for places of pictures in other tabs
  }

  // Between its own tiles a picture is nothing that is dropped on the page.
  stay(event) {
    if (event.defaultPrevented || !event.dataTransfer.types.includes(DRAGGED)) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = "none";
  }

  over(event) {
    const chip = event.target.closest(".board[data-board]:not([data-board=''], .of-others)");
    findAll(".over", this.row).forEach(one => one.classList.remove("over"));
    if (!chip || !event.dataTransfer.types.includes(DRAGGED)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.type === "dragover") chip.classList.add("over");
    if (event.type !== "drop") return;
    const rows = JSON.parse(event.dataTransfer.getData(DRAGGED)).map(id => this.history.grid.rows.get(id)).filter(Boolean);
    this.put(this.list.find(board => board.id === chip.dataset.board), rows);
  }
}
