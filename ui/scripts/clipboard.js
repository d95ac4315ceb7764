// Text into the clipboard.
import { toast } from "../parts/notices.js";
import { make } from "./dom.js";

export async function copy(text) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyBySelection(text);   // plain http in a local network has no clipboard
  toast("Copied.");
}

function copyBySelection(text) {
  const box = make("textarea", {}, text);
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}
