// Hires. fix for a finished picture: drawn once more from its seed, and then at its full size.
(() => {
  const { fields, post, tell, say } = easel;
  const TAB = "txt2img", OWN = name => name.startsWith("hr_") || name === "denoising_strength";

  // Not for one that had it, that came from a picture, or that was only enlarged.
  const fits = request => Boolean(request) && !request.enable_hr && !request.init_image && request.process !== "Extras";

  // The picture's own request with the second pass as txt2img has it set; its prompt was resolved already.
  async function submit(request, tab) {
    const own = Object.entries(request).filter(([name]) => fields[name] && !fields[name].internal);
    const second = Object.entries(easel.form(TAB).values).filter(([name]) => fields[name] && OWN(name));
    const values = { ...Object.fromEntries([...own, ...second]), enable_hr: true, batch_count: 1, batch_size: 1, styles: [], prompt_expansion: "Off" };
    try {
      tell("submitted", { job: (await post("/easel/jobs", values)).id, tab });
      say("Added to the queue with hires. fix.");
    } catch (error) {
      if (!error.problems?.length) throw error;
      await easel.open(TAB);
      easel.form(TAB).mark(error.problems);
    }
  }

  easel.hires = { fits, submit };
})();
