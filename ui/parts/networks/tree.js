// The folders that networks lie in, as the tree pattern of WAI-ARIA has it: one stop for Tab, arrows to go through it.
import { find, findAll, make } from "easel";

const depth = folder => folder.split("/").length;
const parent = folder => folder.split("/").slice(0, -1).join("/");
const ALL = "";

export class Tree {
  // `chosen` is told the folder, "" for all of them.
  constructor(place, chosen) {
    this.chosen = chosen;
    this.opened = new Set([ALL]);
    this.list = make("ul", { role: "tree", class: "network-tree", "aria-label": "Folders" });
    place.append(this.list);
    this.list.addEventListener("click", event => this.click(event.target.closest("[role=treeitem]")));
    this.list.addEventListener("keydown", event => this.byKey(event));
  }

  show(folders, current) {
    if (current === this.current && String(folders) === String(this.folders)) return;       // as it is
    if (this.current !== current) for (let one = current; one; one = parent(one)) this.opened.add(parent(one));
    Object.assign(this, { folders, current });
    this.draw();
  }

  draw() {
    const { folders, current } = this;
    const inside = this.list.contains(document.activeElement) ? document.activeElement.dataset.folder : null;
    this.list.replaceChildren(this.row(ALL, "All folders"), ...folders.filter(one => this.seen(one)).map(one => this.row(one, one.split("/").at(-1))));
    if (inside !== null) this.focus(inside);
  }

  seen(folder) {
    for (let one = parent(folder); one; one = parent(one)) if (!this.opened.has(one)) return false;
    return true;
  }

  holds(folder) { return folder !== ALL && this.folders.some(one => parent(one) === folder); }

  row(folder, label) {
    return make("li", { role: "treeitem", "data-folder": folder, "aria-level": folder ? depth(folder) : 1, "aria-selected": String(folder === this.current),
      "aria-expanded": this.holds(folder) ? String(this.opened.has(folder)) : null, tabindex: folder === this.current ? 0 : -1,
      style: `--depth: ${folder ? depth(folder) - 1 : 0}`, translate: folder ? "no" : null, title: folder || null }, label);
  }

  open(folder, open) {
    this.opened[open ? "add" : "delete"](folder);
    this.draw();
  }

  // A folder that is chosen already opens and closes.
  click(row) {
    if (!row) return;
    const { folder } = row.dataset;
    if (this.holds(folder)) this.open(folder, folder === this.current ? !this.opened.has(folder) : true);
    if (folder !== this.current) this.chosen(folder);
    this.focus(folder);
  }

  focus(folder) {
    const rows = findAll("[role=treeitem]", this.list), row = rows.find(one => one.dataset.folder === folder) ?? rows[0];
    for (const one of rows) one.tabIndex = one === row ? 0 : -1;
    row.focus();
  }

  byKey(event) {
    const row = event.target.closest("[role=treeitem]");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = findAll("[role=treeitem]", this.list), at = rows.indexOf(row), { folder } = row.dataset, open = row.getAttribute("aria-expanded");
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to !== undefined) rows[Math.min(rows.length - 1, Math.max(0, to))].focus();
    else if (event.key === "Enter" || event.key === " ") this.click(row);
    else if (event.key === "ArrowRight" && open === "false") this.open(folder, true);
    else if (event.key === "ArrowRight" && open === "true") rows[at + 1]?.focus();
    else if (event.key === "ArrowLeft" && open === "true") this.open(folder, false);
    else if (event.key === "ArrowLeft" && folder) find(`[data-folder="${CSS.escape(parent(folder))}"]`, this.list)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
