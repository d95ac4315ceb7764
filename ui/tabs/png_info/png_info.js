// PNG Info: a picture goes to the server, which says what made it; from there it goes into a form.
(() => {
  const { find, make, sendFile, say } = easel;
  const TAB = "png_info";
  const NOTHING = "This picture says nothing of how it was made. It can still be the start of another one.";
  let told = null, shown = null, url = "";

  const box = () => find(`#${TAB} .info`);

  async function read(file) {
    problem("");
    try { told = await sendFile("/easel/settings", file); }
    catch (error) { problem(error.message); return; }
    URL.revokeObjectURL(url);
    shown = file;
    url = URL.createObjectURL(file);
    show();
  }

  function problem(text) {
    const place = find(".problem", box());
    place.hidden = !text;
    place.textContent = text;
  }

  function show() {
    find(".info-found", box()).hidden = false;
    find(".info-picture", box()).src = url;
    find(".info-text", box()).textContent = told.infotext || (told.missing.length ? "" : NOTHING);
    find(".info-missing", box()).replaceChildren(...told.missing.map(text => make("li", {}, text)));
    for (const name of ["txt2img", "copy"]) find(`[data-info="${name}"]`, box()).hidden = !told.infotext;
    say(told.infotext ? "Settings found." : told.missing[0] ?? NOTHING);
  }

  const acts = {
    txt2img: () => easel.form("txt2img").reuse(told.values),
    img2img: () => easel.picture.send({ file: shown }, told.values),
    inpaint: () => easel.picture.send({ file: shown }, told.values, { inpaint: true }),
    extras: () => easel.extras.send({ file: shown, infotext: told.infotext }),
    copy: () => easel.copy(told.infotext).catch(error => easel.note(error.message, 8000)),
  };

  function dropped(event) {
    const over = easel.tab() === TAB && event.target.closest?.(`#${TAB}`);
    box()?.classList.toggle("over", Boolean(over) && event.type === "dragover");
    if (!over) return;
    event.preventDefault();
    if (event.type === "drop" && event.dataTransfer.files[0]) read(event.dataTransfer.files[0]);
  }

  document.addEventListener("change", event => {
    if (!event.target.matches?.(".info-file") || !event.target.files[0]) return;
    read(event.target.files[0]);
    event.target.value = "";
  }, true);
  document.addEventListener("click", event => acts[event.target.closest?.("[data-info]")?.dataset.info]?.());
  for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, dropped, true);
  document.addEventListener("paste", event => {
    const pasted = [...event.clipboardData?.files ?? []].find(one => one.type.startsWith("image/"));
    if (pasted && easel.tab() === TAB) read(pasted);
  });
})();
