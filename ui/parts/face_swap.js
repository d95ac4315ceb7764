// The pictures of the faces that a finished picture gets, in the fold of face swaps. Loaded when that is first opened.
import { appeared, find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { note } from "./notices.js";

const places = {}, choices = {}, several = {};        // by tab
const MALE = { Male: true, Female: false };

async function place(tab, box) {
  const [{ PicturePlace }, { MorePictures }, { FaceChoice }, { styles }] = await Promise.all([import("./guides/picture_place.js"), import("./guides/more_pictures.js"), import("./guides/face_choice.js"), import("./guides/style_sheet.js")]);
  await styles();
  const form = formOf(tab);
  places[tab] = new PicturePlace(`${tab}_face_swap`, "Picture of the face", {
    changed: id => { form.unmark("face_swap"); form.apply({ face_swap: id }); },
    failed: message => form.mark([{ field: "face_swap", message }], false),
  });
  places[tab].root.dataset.dressed = "face_swap";
  choices[tab] = new FaceChoice(places[tab], face_swap_source => form.apply({ face_swap_source }));
  several[tab] = new MorePictures(`${tab}_face_swap_pictures`, { label: "Pictures of faces", hint: "several in the place of one", first: 1,
    changed: ids => { form.unmark("face_swap_pictures"); form.apply({ face_swap_pictures: JSON.stringify(ids) }); show(tab); },
    failed: message => form.mark([{ field: "face_swap_pictures", message }], false),
  });
  several[tab].root.dataset.dressed = "face_swap_pictures";
  box.replaceChildren(places[tab].root, several[tab].root);
  show(tab);
}

function show(tab) {
  const { face_swap: id, face_swap_pictures: told, face_swap_model: model, face_swap_source: number, face_swap_order: order, face_swap_source_gender: gender } = { ...formOf(tab).values, ...formOf(tab).pending };
  const ids = told ? JSON.parse(told) : [];
  find(`#${tab}_face_swap_fold`)?.classList.toggle("acting", Boolean(id || ids.length || (model && model !== "None")));
  several[tab]?.show(ids, told !== undefined);
  places[tab]?.show(id ?? "");
  choices[tab]?.show(id ? { picture: id, pack: "buffalo_l", order, number: Number(number), male: MALE[gender] } : null);
}

for (const tab of ["txt2img", "img2img", "extras"]) appeared(`#${tab}_swap .swap-place`).then(box => place(tab, box).catch(error => note(error.message, 8000)));
on("form", ({ tab }) => show(tab));
