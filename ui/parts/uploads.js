// Pictures on the server that are not finished ones: sent there, and how large they are.
import { sendFile } from "../scripts/http.js";
import { withRoot } from "../scripts/root.js";

const LARGEST = 64 * 2 ** 20;
const sizes = new Map();

// Answers { id, width, height }.
export async function upload(file, mask) {
  if (file.size > LARGEST) throw new Error(`The file is larger than ${LARGEST / 2 ** 20} MB.`);
  const kept = await sendFile(`/easel/upload${mask ? "?mask=true" : ""}`, file);
  sizes.set(kept.id, [kept.width, kept.height]);
  return kept;
}

export async function measured(id) {
  if (!sizes.has(id)) {
    const picture = new Image();
    picture.src = withRoot(`/easel/upload/${id}.png`);
    await picture.decode();
    sizes.set(id, [picture.naturalWidth, picture.naturalHeight]);
  }
  return sizes.get(id);
}

// The nearest length that a picture can be drawn in.
export const multiple = length => Math.min(8192, Math.max(64, Math.round(length / 8) * 8 || 512));
