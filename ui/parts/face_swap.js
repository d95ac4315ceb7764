// The picture of the face that a finished picture gets, in the fold of face swaps. Loaded when that is first opened.
import { appeared, find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { note } from "./notices.js";

const places = {}, choices = {};        // by tab
const MALE = { Male: true, Female: false };

async function place(tab, box) {
  const [{ PicturePlace }, { FaceChoice }, { styles }] = await Promise.all([import("./guides/picture_place.js"), import("./guides/face_choice.js"), import("./guides/styles.js")]);
  await styles();
  const form = formOf(tab);
  places[tab] = new PicturePlace(`${tab}_face_swap`, "Picture of the face", {
    changed: id => { form.unmark("face_swap"); form.apply({ face_swap: id }); },
    failed: message => form.mark([{ field: "face_swap", message }], false),
  });
  places[tab].root.dataset.dressed = "face_swap";
  choices[tab] = new FaceChoice(places[tab], face_swap_source => form.apply({ face_swap_source }));
  box.replaceChildren(places[tab].root);
  show(tab);
}

function show(tab) {
  const { face_swap: id, face_swap_source: number, face_swap_order: order, face_swap_source_gender: gender } = formOf(tab).values;
  find(`#${tab}_face_swap_fold`)?.classList.toggle("acting", Boolean(id));
  places[tab]?.show(id ?? "");
  choices[tab]?.show(id ? { picture: id, pack: "buffalo_l", order, number: Number(number), male: MALE[gender] } : null);
}

for (const tab of ["txt2img", "img2img", "extras"]) appeared(`#${tab}_swap .swap-place`).then(box => place(tab, box).catch(error => note(error.message, 8000)));
on("form", ({ tab }) => show(tab));
