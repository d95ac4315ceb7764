// An exported plot as a page of its own: zoom, and a cell in full.
const root = document.documentElement, shown = document.querySelector("dialog");
let side = Number(root.dataset.side);
const zoom = factor => {
  side = Math.min(Math.max(side * factor, Number(root.dataset.smallest)), Number(root.dataset.widest));
  root.style.setProperty("--cell", `${side}px`);
};
document.querySelector("#larger").onclick = () => zoom(1.25);
document.querySelector("#smaller").onclick = () => zoom(0.8);
addEventListener("wheel", event => { if (event.ctrlKey) { event.preventDefault(); zoom(event.deltaY < 0 ? 1.1 : 1 / 1.1); } }, { passive: false });
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+") zoom(1.25);
  if (event.key === "-") zoom(0.8);
});
document.addEventListener("click", event => {
  const image = event.target.closest("td > button")?.firstElementChild;
  if (image) {
    shown.querySelector("img").src = image.src;
    shown.querySelector("img").alt = shown.querySelector("p").textContent = image.alt;
    shown.showModal();
  } else if (event.target.closest("dialog")) shown.close();
});
zoom(1);
