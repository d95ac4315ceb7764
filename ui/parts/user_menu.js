// Who is logged in, at the end of the bar: the way to one's own account, and out. Where nobody logs in there is nothing.
import { appeared, make } from "../scripts/dom.js";
import { ask, logOut } from "../scripts/http.js";
import { withRoot } from "../scripts/root.js";
import { on } from "../scripts/events.js";
import { openMenu } from "./popup_menu.js";

const ROLES = { viewer: "Viewer", artist: "Artist", admin: "Admin" };

function open(user, button) {
  openMenu(button, "Your account", [
    { label: `${user.name} · ${user.role}`, verbatim: true, disabled: true, act() {} },
    { label: "Account", act: () => location.assign(withRoot("/account")) },
    { label: "Log out", act: logOut },
  ]);
}

const user = await ask("/easel/me").catch(() => ({}));
if (user.logged_in) {
  const initial = [...user.name][0].toUpperCase();
  const button = make("button", { type: "button", id: "user_menu", "aria-haspopup": "menu", "aria-label": "Your account", title: user.name, translate: "no",
    onclick: () => open({ ...user, role: ROLES[user.role] }, button) }, initial);
  (await appeared("#bar")).append(button);
  on("lost", () => ask("/easel/me").catch(() => {}));       // whoever was logged out elsewhere is led to the login
}
