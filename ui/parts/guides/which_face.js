// Of a picture with several faces: a sheet that asks which is meant, before anything is made of it.
import { make } from "../../scripts/dom.js";
import { openSheet } from "../dialog.js";
import { FaceChoice, located } from "./face_choice.js";
import { withRoot } from "../../scripts/root.js";

// Resolves with the number in `order` of the face in an upload, as a `pack` of networks, or an IP-Adapter's own, sees it; null where the sheet is closed.
// Where there is nothing to choose it is 0, and nobody is asked.
export async function whichFace(picture, pack, adapter, order) {
  const { faces } = await located(picture, pack, adapter);
  if (faces.length < 2) return 0;
  const frame = make("span", { class: "unit-frame" }, make("img", { class: "face-picture", src: withRoot(`/easel/upload/${picture}.png`), alt: "" })), root = make("div", {});
  return new Promise(resolve => {
    const sheet = openSheet("Which face is meant", "face-sheet", frame, root), choice = new FaceChoice({ frame, root }, number => { resolve(number); sheet.close(); });
    sheet.addEventListener("close", () => resolve(null));
    choice.show({ picture, pack, adapter, order, number: null });
  });
}
