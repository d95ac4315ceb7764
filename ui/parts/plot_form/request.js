// The settings that a plot starts from: what Generate would send.
import { fields } from "../../scripts/fields.js";
import { formOf } from "../../scripts/form.js";
import { post } from "../../scripts/http.js";
import { BOTH, INPAINT, SKETCH } from "../mask_editor.js";
import { complete } from "../init_image.js";

const own = values => Object.fromEntries(Object.entries(values).filter(([name]) => name in fields));

// As the form tells them by itself: good enough to count.
export function typedRequest(tab) {
  const { values, pending } = formOf(tab);
  return own({ ...values, ...pending, ...(values.editor_mode === INPAINT ? {} : { mask: "" }) });
}

// With the newest stroke of the painter, and what is painted as a part of the picture.
export async function freshRequest(tab) {
  const values = await formOf(tab).fresh();
  if (tab !== "img2img") return own(values);
  const names = Object.keys(values), whole = await complete(names, Object.values(values)), now = Object.fromEntries(names.map((name, i) => [name, whole[i]]));
  const { editor_mode: mode, paint, init_image: picture } = now;
  if (!paint || ![SKETCH, BOTH].includes(mode)) return own({ ...now, mask: mode === INPAINT ? now.mask : "" });
  const { init_image, mask } = await post(`/easel/upload/${picture}/sketch`, { paint });
  return own({ ...now, init_image, mask: mode === BOTH ? mask : "" });
}
