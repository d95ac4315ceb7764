// "Use this face": from a picture to the units that draw its person, as people set them by hand. Of several faces one is asked for.
import { appeared, find } from "../../scripts/dom.js";
import { fields } from "../../scripts/fields.js";
import { formOf } from "../../scripts/form.js";
import { openTab } from "../../scripts/tabs.js";
import { note, toast } from "../notices.js";
import { upload } from "../uploads.js";
import { factsFor, filledBy } from "./control_types.js";
import { styles } from "./style_sheet.js";
import { whichFace } from "./which_face.js";

const DEFAULTS = Object.fromEntries(Object.entries(fields.guides.record).map(([name, row]) => [name, row.default]));
const INSTANT = ["instant_id", "instantid"];

// The units: InstantID's two parts where both are there, else a FaceID. Its model is "None" where there is neither.
function unitsFor(facts) {
  const filled = (name, words) => { const choice = facts.choices.find(one => one.name === name); return filledBy(facts, { ...choice, models: words ?? choice.models }); };
  const parts = [filled("face", INSTANT), filled("face_points")];
  return parts.every(unit => unit.model !== "None") ? parts : [filled("face")];
}

export async function useFace(tab, url) {
  const form = formOf(tab), checkpoint = form.pending.checkpoint ?? form.values.checkpoint ?? "";
  let wanted = unitsFor(await factsFor(checkpoint));
  if (wanted[0].model === "None") wanted = unitsFor(await factsFor(checkpoint, true));      // it may have been put there meanwhile
  const [face] = wanted, both = wanted.length > 1;
  if (face.model === "None") return note("No model for faces and this checkpoint is in the models folders: put InstantID's or FaceID's files into models/ip_adapter.", 12000);
  const [{ id: image }] = await Promise.all([fetch(url).then(answer => answer.blob()).then(upload), styles()]);
  const face_index = await whichFace(image, both ? "antelopev2" : "buffalo_l", face.model, DEFAULTS.face_order);
  if (face_index === null) return null;
  const before = form.pending.guides ?? form.values.guides ?? "[]", others = JSON.parse(before);
  const guides = JSON.stringify([...others, ...wanted.map(unit => ({ ...DEFAULTS, ...unit, image, face_index, enabled: true }))]);
  form.pending.guides = guides;
  form.apply({ guides });
  await openTab(tab);
  find(`#${tab}_guides_fold > button:not(.open)`)?.click();
  appeared(`#${tab}_guides .guides`).then(box => box.scrollIntoView({ block: "nearest" }));
  toast(wanted.length > 1 ? "Two guides now draw this face." : "A guide now draws this face.", { undo: () => form.apply({ guides: before }) });
}
