// Waiting jobs and plots are dragged to another place in the queue, by mouse or, at its grip (where its state stands), by a finger; for the keyboard each has buttons.
import { findAll } from "../scripts/dom.js";

const PLOT = "li[data-plot][draggable]", LINE = `li.queued[data-job], ${PLOT}`;
const idOf = row => row.dataset.job ?? row.dataset.plot;

function following(row) {
  let next = row.nextElementSibling;
  while (next?.matches("[data-plot], [data-job]") && !next.matches(LINE)) next = next.nextElementSibling;
  return next;
}

// What has to move, one after the other: [{ id, plot }, the id of the line before which it comes, or "end"]. A job among the jobs behind
// a plot that came after it stays there only when the plot comes before the job first.
function moves(list, dragged, row, behind) {
  const next = following(row), known = next?.matches(LINE) ? next : null, before = behind ? known : row;
  if (row === dragged || before === dragged) return [];
  const last = next?.matches(".queued") ? idOf(row) : "end";      // behind it stand more, which are not shown
  const own = [{ id: idOf(dragged), plot: dragged.matches(PLOT) }, before ? idOf(before) : last];
  if (own[0].plot || before?.matches(PLOT)) return [own];
  const lines = findAll(LINE, list), passed = lines.slice(lines.indexOf(dragged), before ? lines.indexOf(before) : undefined).filter(line => line.matches(PLOT));
  return [...passed.map(plot => [{ id: idOf(plot), plot: true }, idOf(dragged)]), own];
}

// `moved` gets what `moves` says. While a row is dragged, and while a button of the mouse is down on one, the list is marked, so that nobody
// lays it anew: a row that is exchanged under the pointer can neither be dragged nor clicked. `settled` is called afterwards.
export function dragRows(list, moved, settled) {
  let dragged = null, over = null, behind = false;
  const clear = () => findAll(".drop-before, .drop-behind", list).forEach(row => row.classList.remove("drop-before", "drop-behind"));
  const take = row => { dragged = row; list.classList.add("dragging"); };
  const aim = (element, y) => {
    clear();
    over = dragged && element?.closest?.(LINE);
    if (!over || !list.contains(over)) return over = null;
    const { top, height } = over.getBoundingClientRect();
    behind = y > top + height / 2;
    if (over !== dragged) over.classList.add(behind ? "drop-behind" : "drop-before");
    return over;
  };
  const end = drops => {
    const wanted = drops && over ? moves(list, dragged, over, behind) : [];
    dragged = over = null;
    clear();
    list.classList.remove("dragging");
    if (wanted.length) moved(wanted);
    settled();
  };
  const hold = () => {
    const ends = new AbortController();
    const release = () => {
      ends.abort();
      setTimeout(() => { list.classList.remove("held"); settled(); });     // the click comes after it
    };
    list.classList.add("held");
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, release, { signal: ends.signal });
    addEventListener("pointermove", event => { if (!event.buttons) release(); }, { signal: ends.signal });    // it went up outside the window
  };
  list.addEventListener("dragstart", event => {
    const row = event.target.closest?.(LINE);
    if (!row) return;
    take(row);
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", "");
  });
  list.addEventListener("dragover", event => { if (aim(event.target, event.clientY)) event.preventDefault(); });
  list.addEventListener("drop", event => { if (aim(event.target, event.clientY)) { event.preventDefault(); end(true); } });
  list.addEventListener("dragend", () => { if (dragged) end(false); });
  // Fingers scroll the page but for the grip, which has them alone.
  list.addEventListener("pointerdown", event => {
    if (event.pointerType === "mouse") return hold();
    const grip = event.target.closest?.(".job-state"), row = grip?.closest(LINE);
    if (!row) return;
    event.preventDefault();
    take(row);
    grip.setPointerCapture(event.pointerId);
    grip.onpointermove = ({ clientX, clientY }) => aim(document.elementsFromPoint(clientX, clientY).find(one => list.contains(one)), clientY);   // under a message, too
    grip.onpointerup = () => end(true);
    grip.onpointercancel = () => end(false);
  });
}
