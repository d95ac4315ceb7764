// Texts and pictures into the clipboard.
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

// Clipboards take pictures as PNG only.
export async function copyPicture(url) {
  if (!window.ClipboardItem || !navigator.clipboard?.write) throw new Error("This browser copies pictures only where Easel is opened by https or on this computer.");
  await navigator.clipboard.write([new ClipboardItem({ "image/png": asPng(url) })]);
  toast("Picture copied.");
}

async function asPng(url) {
  const blob = await (await fetch(url)).blob();
  if (blob.type === "image/png") return blob;
  const bitmap = await createImageBitmap(blob), canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}
