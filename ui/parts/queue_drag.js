// Waiting jobs are dragged to another place in the queue; for the keyboard each has buttons.
import { findAll } from "../scripts/dom.js";

const QUEUED = "li.queued[data-job]";

// `moved(job, to)` gets the id of the dragged job and of the one before which it was dropped, or "end". While a row is dragged the
// list is marked, so that nobody lays it anew; `settled` is called afterwards.
export function dragRows(list, moved, settled) {
  let dragged = null;
  const clear = () => findAll(".drop-before, .drop-behind", list).forEach(row => row.classList.remove("drop-before", "drop-behind"));
  const over = event => dragged && event.target.closest?.(QUEUED);
  const behind = (row, event) => { const { top, height } = row.getBoundingClientRect(); return event.clientY > top + height / 2; };
  list.addEventListener("dragstart", event => {
    dragged = event.target.closest?.(QUEUED);
    if (!dragged) return;
    list.classList.add("dragging");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", "");
  });
  list.addEventListener("dragover", event => {
    const row = over(event);
    clear();
    if (!row) return;
    event.preventDefault();
    if (row !== dragged) row.classList.add(behind(row, event) ? "drop-behind" : "drop-before");
  });
  list.addEventListener("drop", event => {
    const row = over(event);
    if (!row) return;
    event.preventDefault();
    const before = behind(row, event) ? row.nextElementSibling?.closest(QUEUED) : row;
    if (row !== dragged && before !== dragged) moved(dragged.dataset.job, before?.dataset.job ?? (row.nextElementSibling?.matches(".queued") ? row.dataset.job : "end"));
  });
  list.addEventListener("dragend", () => {
    dragged = null;
    clear();
    list.classList.remove("dragging");
    settled();
  });
}
