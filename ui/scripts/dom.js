// Elements: found, made, awaited, filled.
export const find = (selector, root = document) => root.querySelector(selector);
export const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

// An element with its attributes and children; a function under "on..." listens to that event.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// The same for what is drawn: a part of an SVG.
export function shape(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// The element, as soon as there is one.
export function appeared(selector) {
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

// A value set as if it were typed, so that Gradio sees it.
export function type(input, value) {
  const prototype = input.tagName === "TEXTAREA" ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype;
  Object.getOwnPropertyDescriptor(prototype, "value").set.call(input, value);
  input.dispatchEvent(new Event("input", { bubbles: true }));
}
