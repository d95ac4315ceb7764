// Before anything is shown: the light and the language that the person chose, else those of the system and the browser.
window.easelLook = (() => {
  const chosen = window.easelPreferences ??= {};
  const languages = window.easelLanguages;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;

  function light() {
    const theme = chosen.theme ?? "system";
    const now = theme === "system" ? (dark.matches ? "dark" : "light") : theme;
    root.dataset.theme = now;
    root.style.colorScheme = now;
    document.body?.classList.toggle("dark", now === "dark");
  }

  // The first language of the browser's that there is a file for; English needs none.
  function language() {
    const wanted = (chosen.language ?? "browser") === "browser" ? navigator.languages ?? [navigator.language] : [chosen.language];
    const codes = wanted.flatMap(code => [code, code.split("-")[0]]);
    return codes.find(code => code in languages) ?? "en";
  }

  light();
  dark.addEventListener("change", () => setTimeout(light));   // after Gradio's own
  new MutationObserver((_, watcher) => {
    const app = document.querySelector("gradio-app");
    if (!app) return;
    watcher.disconnect();
    if (root.dataset.theme) app.setAttribute("theme_mode", root.dataset.theme);
    light();
  }).observe(root, { childList: true, subtree: true });

  return { light, language, languages };
})();

// Gradio builds the tab of the address at once, in place of the first.
(() => {
  const wanted = location.hash.split("/")[1];       // a tab's name needs no decoding
  let config;
  if (wanted) Object.defineProperty(window, "gradio_config", { configurable: true, get: () => config, set: given => {
    config = given;
    const known = given.components?.some(one => one.type === "tabitem" && one.props.id === wanted);
    const tabs = given.components?.find(one => one.type === "tabs" && one.props.elem_id === "tabs");
    if (known && tabs) tabs.props.selected = wanted;
  } });
})();
