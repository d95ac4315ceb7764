// Hires. fix for a finished picture: drawn once more from its seed, and then at its full size.
import { toast } from "../../parts/notices.js";
import { tell } from "../../scripts/events.js";
import { fields } from "../../scripts/fields.js";
import { formOf } from "../../scripts/form.js";
import { post } from "../../scripts/http.js";
import { openTab } from "../../scripts/tabs.js";

const TAB = "txt2img", OWN = name => name.startsWith("hr_") || name === "denoising_strength";

// Not for one that had it, that came from a picture, or that was only enlarged.
export const hiresFits = request => Boolean(request) && !request.enable_hr && !request.init_image && request.process !== "Extras";

// The picture's own request with the second pass as txt2img has it set; its prompt was resolved already.
export async function submitHires(request, tab) {
  const own = Object.entries(request).filter(([name]) => fields[name] && !fields[name].internal);
  const second = Object.entries(await formOf(TAB).fresh()).filter(([name]) => fields[name] && OWN(name));
  const values = { ...Object.fromEntries([...own, ...second]), enable_hr: true, batch_count: 1, batch_size: 1, styles: [], prompt_expansion: "Off" };
  try {
    tell("submitted", { job: (await post("/easel/jobs", values)).id, tab });
    toast("Added to the queue with hires. fix.");
  } catch (error) {
    if (!error.problems?.length) throw error;
    await openTab(TAB);
    formOf(TAB).mark(error.problems);
  }
}
