// Waiting jobs and plots are dragged to another place in the queue; for the keyboard and for fingers each has buttons.
import { findAll } from "../scripts/dom.js";

const JOB = "li.queued[data-job]", PLOT = "li[data-plot][draggable]", LINE = `${JOB}, ${PLOT}`;
const idOf = row => row.dataset.job ?? row.dataset.plot;

// Between which rows it may stand: a plot among all, a job among the jobs.
const places = row => row.matches(PLOT) ? LINE : JOB;

function following(row, kind) {
  let next = row.nextElementSibling;
  while (next?.matches("[data-plot], [data-job]") && !next.matches(kind)) next = next.nextElementSibling;
  return next;
}

// `moved({ id, plot }, to)` gets what was dragged and the id of the row before which it was dropped, or "end". While a row is dragged
// the list is marked, so that nobody lays it anew; `settled` is called afterwards.
export function dragRows(list, moved, settled) {
  let dragged = null;
  const clear = () => findAll(".drop-before, .drop-behind", list).forEach(row => row.classList.remove("drop-before", "drop-behind"));
  const over = event => dragged && event.target.closest?.(places(dragged));
  const behind = (row, event) => { const { top, height } = row.getBoundingClientRect(); return event.clientY > top + height / 2; };
  list.addEventListener("dragstart", event => {
    dragged = event.target.closest?.(LINE);
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
    const next = following(row, places(dragged)), known = next?.matches(LINE) ? next : null, before = behind(row, event) ? known : row;
    const last = next?.matches(".queued") ? idOf(row) : "end";      // behind it stand more, which are not shown
    if (row !== dragged && before !== dragged) moved({ id: idOf(dragged), plot: dragged.matches(PLOT) }, before ? idOf(before) : last);
  });
  list.addEventListener("dragend", () => {
    dragged = null;
    clear();
    list.classList.remove("dragging");
    settled();
  });
}
