// One picture on the whole screen; arrow keys walk through the strip, Escape leaves.
(() => {
  const { find } = easel;
  let dialog, current;

  function show(image) {
    current = image;
    const picture = find("img", dialog);
    picture.src = image.url;
    picture.alt = easel.results.described(image);
  }

  function step(by) {
    const images = easel.results.list();
    const next = images[images.findIndex(image => image.id === current.id) + by];
    if (!next) return;
    show(next);
    easel.results.choose(next.id);
  }

  function start(element) {
    dialog = element;
    find(".lightbox-back", dialog).addEventListener("click", () => step(-1));
    find(".lightbox-on", dialog).addEventListener("click", () => step(1));
    find(".lightbox-close", dialog).addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", event => { if (event.target === dialog || event.target.tagName === "IMG") dialog.close(); });
    dialog.addEventListener("keydown", event => {
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
  }

  function open(image) {
    if (!image) return;
    show(image);
    dialog.showModal();
  }

  easel.lightbox = { start, open };
})();
