// The style sheet of the folds of guides and regions, loaded when one of them is first opened.
import { make } from "../../scripts/dom.js";

let styled = null;

export function styles() {
  return styled ??= new Promise(resolve => {
    const link = make("link", { rel: "stylesheet", href: new URL("./guides.css", import.meta.url).href });
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}
