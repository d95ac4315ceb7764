// Generate: what is sent of a form.
import { formOf } from "../scripts/form.js";
import { seeded } from "./generate_forever.js";
import { arrived } from "./guides.js";

// What Generate sends of the values that Gradio gives with the click; `before` completes them, and may refuse.
export async function sent(tab, names, values, before) {
  if (arrived() && !await arrived()) throw new Error("A unit's picture did not reach the server.");
  const asked = formOf(tab).asked(names, values);
  return seeded(tab, names, before ? await before(...asked) : asked);
}
