// Networks and words into the prompt boxes of a tab, and out of them again.
import { form, say, toast } from "easel";
import { BOXES, edit, lastUsed, textOf } from "./prompt_boxes.js";
import { stands, withAdded, without, written } from "./prompt_text.js";

// In a negative prompt only embeddings are more than words.
const boxesOf = (kind, box) => box ? [box] : kind === "embedding" ? BOXES : BOXES.slice(0, 1);

// Whether a card, or words, are in use. `box` names the only box that counts.
export function inPrompt(tab, network, box) {
  if (network.kind === "checkpoint") return form(tab).values.checkpoint === network.name;
  return boxesOf(network.kind, box).some(one => stands(textOf(tab, one), network));
}

// Puts it in where it is not, takes it out where it is; whether it is in then.
export function toggleIn(tab, network, box) {
  const boxes = boxesOf(network.kind, box), there = boxes.filter(one => stands(textOf(tab, one), network));
  if (there.length) {
    const before = there.map(one => [one, textOf(tab, one)]);
    for (const [one, text] of before) edit(tab, one, without(text, network));
    toast(`${network.said} is out of the prompt.`, { undo: () => { for (const [one, text] of before) edit(tab, one, text); } });
    return false;
  }
  const into = boxes.includes(lastUsed(tab)) ? lastUsed(tab) : boxes[0];
  edit(tab, into, withAdded(textOf(tab, into), network));
  say(`${written(network)} is in the prompt.`);
  return true;
}
