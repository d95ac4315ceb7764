// The small tools beside the prompt.
import { appeared, find } from "../scripts/dom.js";
import { on } from "../scripts/events.js";
import { formOf } from "../scripts/form.js";
import { ask, post } from "../scripts/http.js";
import { note, say } from "./notices.js";
import { resultsOf } from "./results.js";

// The prompt box held an infotext, or else the picture shown lends its settings.
export async function readSettings(tab, found) {
  const settings = Object.keys(found?.values ?? {}).some(name => !name.endsWith("prompt"));
  for (const sentence of settings ? found.missing : []) note(sentence, 12000);
  if (settings) return formOf(tab).reuse(found.values, found.plot);
  const request = await resultsOf(tab).request();
  if (request) formOf(tab).reuse(request);
  else note("There is neither a picture nor a text with settings to read yet.", 6000);
}

// The picture to start from, in a sentence in the place of the prompt; without a captioner it is said which folder is missing.
export async function interrogate(tab) {
  const picture = formOf(tab).values.init_image, button = find(`#${tab}_interrogate`);
  if (!picture) return note(button.dataset.missing || "There is no picture to describe yet.", 12000);
  if (button.ariaBusy === "true") return;
  button.ariaBusy = "true";
  say("The picture is being described.");
  try { formOf(tab).replace({ prompt: (await post("/easel/interrogate", { picture })).caption }, "The picture is described in the prompt."); }
  catch (error) { note(error.message, 12000); }
  finally { button.ariaBusy = "false"; }
}

// Before it is clicked the button says, where no captioner is, which folder is missing and where it belongs.
async function tellMissing() {
  const button = find("#img2img_interrogate"), { missing } = await ask("/easel/interrogate").catch(() => ({}));
  if (!button || missing === undefined) return;
  button.dataset.missing = missing;
  button.title = missing || button.textContent.trim();
}
appeared("#img2img_interrogate").then(tellMissing);
on("facts", tellMissing);
