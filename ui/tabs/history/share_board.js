// Who sees a board: everybody, or the people that are chosen.
import { toast } from "../../parts/notices.js";
import { openSheet } from "../../parts/dialog.js";
import { findAll, make } from "../../scripts/dom.js";
import { post } from "../../scripts/http.js";

const EVERYBODY = "*";

export function shareBoard(board, people, done) {
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const check = (value, words, attributes = {}) => make("label", { class: "check" }, make("input", { type: "checkbox", value, checked: board.shared.includes(value) }), make("span", attributes, words));
  const all = check(EVERYBODY, "Everybody who can log in here"), chosen = make("div", { class: "share-people", role: "group", "aria-label": "People" }, ...people.map(name => check(name, name, { translate: "no" })));
  const everybody = all.firstElementChild, follow = () => { for (const box of findAll("input", chosen)) box.disabled = everybody.checked; };
  const send = async () => {
    const users = everybody.checked ? [EVERYBODY] : findAll("input:checked", chosen).map(box => box.value);
    try {
      await post(`/easel/boards/${board.id}/share`, { users });
      sheet.close();
      toast(users.length ? "The board is shared." : "Only you see the board now.");
      done();
    } catch (error) { problem.textContent = error.message; problem.hidden = false; }
  };
  everybody.addEventListener("change", follow);
  const sheet = openSheet("Who sees this board", "share-sheet", make("p", { class: "sheet-hint" }, "They see its pictures with their settings in their own history and can change nothing. What goes to the bin leaves the board."),
    make("form", { class: "share-form", onsubmit: event => { event.preventDefault(); send(); } }, all, chosen, problem, make("div", { class: "sheet-acts" }, make("button", { type: "submit", class: "act strong" }, "Save"))));
  follow();
}
