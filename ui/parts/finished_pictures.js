// The finished pictures that this page knows, newest first. All tabs share the list, and each shows those that it made.
import { on, tell } from "../scripts/events.js";
import { ask } from "../scripts/http.js";
import { say } from "./notices.js";

const PAGE = 60;
const infos = new Map(), gone = new Map();      // by id; those that went to the bin since the page was opened
let pictures = [], complete = false;

export const described = picture => `${picture.prompt || "Picture without a prompt"} (seed ${picture.seed})`;
export const tabOf = picture => picture.process === "Extras" ? "extras" : picture.init_image ? "img2img" : "txt2img";
export const made = tab => pictures.filter(picture => tabOf(picture) === tab);
export const drawn = (job, index) => pictures.some(picture => picture.job === job && picture.index === index && !picture.unfinished);
export const isComplete = () => complete || !pictures.length;

const known = id => pictures.some(picture => picture.id === id);

// All that the server tells of a picture: its text, the request that makes it again, how long its job took.
export async function info(picture) {
  if (!infos.has(picture.id)) infos.set(picture.id, ask(`/easel/image/${picture.id}/info`).catch(error => { infos.delete(picture.id); throw error; }));
  return infos.get(picture.id);
}

let arrived;
export const loaded = new Promise(resolve => { arrived = resolve; });      // the first pictures are there

// The newest pictures, or the page of those before the picture `before`.
async function load(before) {
  const answer = await ask(`/easel/images?limit=${PAGE}${before ? `&before=${encodeURIComponent(before)}` : ""}`);
  const fresh = answer.images.filter(picture => !known(picture.id));
  pictures = before ? [...pictures, ...fresh] : [...fresh, ...pictures];
  complete = answer.images.length < PAGE;
  arrived();
  tell("pictures");
}

// Older pictures come by the page until one is the tab's own.
export async function older(tab) {
  const had = made(tab).length;
  while (!complete && made(tab).length === had) await load(pictures.at(-1)?.id);
}

// A half-drawn picture that is finished later keeps its place.
function add(picture, quiet) {
  const at = pictures.findIndex(other => other.id === picture.id);
  if (at >= 0 && pictures[at].unfinished === picture.unfinished) return;
  infos.delete(picture.id);
  pictures.splice(Math.max(0, at), at < 0 ? 0 : 1, picture);
  if (!quiet) say(picture.unfinished ? `Half-drawn picture kept, seed ${picture.seed}.` : `Picture finished, seed ${picture.seed}.`);
  tell("pictures");
}

// What is known of a job's time changes with its end.
function forget(job) {
  for (const picture of pictures) if (picture.job === job) infos.delete(picture.id);
}

on("connected", () => load().catch(() => {}));
on("binned", ids => {
  for (const picture of pictures) if (ids.includes(picture.id)) gone.set(picture.id, picture);
  pictures = pictures.filter(picture => !ids.includes(picture.id));
  tell("pictures");
});
on("restored", ids => {
  if (ids.every(id => gone.has(id))) {
    pictures = [...pictures, ...ids.map(id => gone.get(id))].sort((a, b) => a.created < b.created ? 1 : -1);
    tell("pictures");
  } else {
    pictures = [];
    load().catch(() => {});
  }
  for (const id of ids) gone.delete(id);
});
on("starred", ({ ids, on: starred }) => {
  for (const picture of pictures) if (ids.includes(picture.id)) picture.starred = starred;
  tell("pictures");
});
on("live", event => {
  if (event.type === "image") add(event.image, Boolean(event.plot));      // of a plot there are hundreds
  if (event.type === "job" && event.state !== "running") forget(event.id);
});
