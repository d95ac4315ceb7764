// Places for pictures: files and links may be dropped anywhere on the element, or pasted while its tab is open.
import { find } from "./dom.js";
import { currentTab } from "./tabs.js";
import { withRoot } from "./root.js";

// The element is marked while something hangs over it; `dropped` gets the DataTransfer.
export function dropZone(selector, dropped) {
  const over = event => {
    const inside = event.target.closest?.(selector);
    find(selector)?.classList.toggle("over", Boolean(inside) && event.type === "dragover");
    if (!inside) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.type === "drop") dropped(event.dataTransfer);
  };
  for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, over, true);
}

// `pasted` gets the pictures of the clipboard, at least one.
export function pasteZone(tab, pasted) {
  document.addEventListener("paste", event => {
    const pictures = [...event.clipboardData?.files ?? []].filter(one => one.type.startsWith("image/"));
    if (!pictures.length || currentTab() !== tab) return;
    event.preventDefault();
    pasted(pictures);
  });
}

// What is dropped, as files: a picture of this page is the whole one, of which the browser may have dragged the small one.
export async function filesOf(transfer) {
  const files = [...transfer.files], link = transfer.getData("text/uri-list").split("\n")[0].trim();
  return link.startsWith(location.origin + withRoot("/easel/image/")) ? [await (await fetch(link.replace(/\/thumb(?=$|\?)/, ""))).blob()] : files;
}
