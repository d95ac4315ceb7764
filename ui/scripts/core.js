// Small things every script needs. Everything of the page lives in `window.easel`.
window.easel = (() => {
  const fields = JSON.parse(document.getElementById("easel-fields").textContent);
  const listeners = {};
  const find = (selector, root = document) => root.querySelector(selector);
  const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  function appeared(selector) {
    return new Promise(resolve => {
      const there = () => find(selector);
      if (there()) return resolve(there());
      const watcher = new MutationObserver(() => {
        if (!there()) return;
        watcher.disconnect();
        resolve(there());
      });
      watcher.observe(document.documentElement, { childList: true, subtree: true });
    });
  }

  const on = (type, handler) => (listeners[type] ??= []).push(handler);
  const tell = (type, detail) => (listeners[type] ?? []).forEach(handler => handler(detail));

  const said = body => body.problems?.map(problem => problem.message).join("; ") || body.errors;
  async function ask(url, options) {
    const answer = await fetch(url, options);
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw Object.assign(new Error(said(body) || `The server answered ${answer.status}.`), { status: answer.status, problems: body.problems ?? [] });
    return body;
  }
  const post = (url, body = {}) => ask(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

  const sendFile = (url, file) => ask(url, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file });

  // Files and links may be dropped anywhere on the element; it is marked while something hangs over it.
  function dropZone(selector, dropped) {
    const over = event => {
      const inside = event.target.closest?.(selector);
      find(selector)?.classList.toggle("over", Boolean(inside) && event.type === "dragover");
      if (!inside) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.type === "drop") dropped(event.dataTransfer);
    };
    for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, over, true);
  }

  function say(text) {
    const voice = find("#say");
    if (voice) voice.textContent = text;
  }

  async function copy(text) {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyOldWay(text);   // plain http in a local network has no clipboard
    say("Copied.");
  }

  function copyOldWay(text) {
    const box = make("textarea", {}, text);
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }

  // A value set as if it were typed, so that Gradio sees it.
  function type(input, value) {
    const prototype = input.tagName === "TEXTAREA" ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype;
    Object.getOwnPropertyDescriptor(prototype, "value").set.call(input, value);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function stored(storage, key) {
    try { return JSON.parse(storage.getItem(key)); } catch { return null; }
  }
  function store(storage, key, value) {
    try { storage.setItem(key, JSON.stringify(value)); } catch { /* a full or forbidden storage must not stop the page */ }
  }

  // About the same area in another shape; sides are multiples of 8.
  function shape(width, height, ratio) {
    const area = Math.max(64 * 64, (width || 512) * (height || 512));
    const side = length => Math.max(64, Math.round(length / 8) * 8);
    return [side(Math.sqrt(area * ratio)), side(Math.sqrt(area / ratio))];
  }

  // The tab that is open, by its name; and the way into one.
  const tab = () => find('#tabs [role="tab"][aria-selected="true"]')?.id.replace(/^tab_(.*)-button$/, "$1") ?? "txt2img";
  function open(name) {
    const button = find(`#tab_${name}-button`);
    if (tab() !== name) button?.click();
    button?.scrollIntoView({ block: "nearest", inline: "nearest" });
    return appeared(`#${name}_apply`);
  }

  return { fields, find, findAll, make, appeared, on, tell, ask, post, sendFile, dropZone, say, copy, type, stored, store, shape, tab, open };
})();
