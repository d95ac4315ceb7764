// The small tools beside the prompt.
import { formOf } from "../scripts/form.js";
import { seeded } from "./generate_forever.js";
import { arrived } from "./guides.js";
import { note } from "./notices.js";
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

// What Generate sends of the values that Gradio gives with the click; `before` completes them, and may refuse.
export async function sent(tab, names, values, before) {
  if (arrived() && !await arrived()) throw new Error("A unit's picture did not reach the server.");
  const asked = formOf(tab).asked(names, values);
  return seeded(tab, names, before ? await before(...asked) : asked);
}
