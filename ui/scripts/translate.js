// The page in the person's language. Texts that a file knows are exchanged where they are shown; what people wrote,
// names of models and values that go to the server stay as they are.
import { tell } from "./events.js";
import { ask } from "./http.js";

const ATTRIBUTES = ["placeholder", "title", "aria-label", "aria-valuetext", "alt"];
const VERBATIM = 'textarea, pre, code, script, style, [translate="no"], [contenteditable], .infotext, .job-prompt, .example, .used-list, .compare-table td, .details-name, .source-name, .token, [role="option"]:not(.field-choice *)';
const PROMPTS = '[translate="no"], .job-prompt, .shot-open, .used-list, .token';     // whose attributes are people's words too
export const OWN_NAMES = ["None", "Automatic", "Faces"];      // what stands among names of files and is the house's
const LONGEST = 600;
const NO_LABEL = "\u2063";
const shown = new WeakMap();     // node -> { name: [English, what stands there] }
let texts = new Map(), patterns = [], current = "en";

const words = english => english.replace(/\{\*?\}/g, "").length;
const longest = texts => texts.reduce((most, text) => text.length > most.length ? text : most, "");

// "Step {} of {}" fits any words in the gaps; those in {*} are translated too.
function pattern([english, translation]) {
  const parts = english.split(/(\{\*?\})/).map(part => /^\{\*?\}$/.test(part) ? "(.+?)" : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const deep = [...english.matchAll(/\{(\*?)\}/g)].map(match => Boolean(match[1]));
  return { holds: longest(english.split(/\{\*?\}/)), fits: new RegExp(`^${parts.join("")}$`, "s"), deep, translation };
}

export const translated = text => text.length > LONGEST ? text : found(text) ?? continued(text) ?? text;

// A refusal is known with the label of its field before it and a full stop behind; elsewhere it stands without one, or both.
function continued(text) {
  if (!patterns.length || !/[a-z]{3}/.test(text)) return null;
  const stop = /[.!?]$/.test(text) ? "" : ".", first = text[0];
  for (const start of new Set([first, first.toLowerCase()])) {
    const whole = found(`${NO_LABEL} ${start}${text.slice(1)}${stop}`);
    if (!whole?.startsWith(NO_LABEL)) continue;
    const rest = whole.slice(NO_LABEL.length).replace(/^:?\s*/, ""), told = stop ? rest.slice(0, -1) : rest;
    return /[A-Z]/.test(first) ? told[0].toUpperCase() + told.slice(1) : told;
  }
  return null;
}

// Null where the language has no words for it.
function found(text) {
  const known = texts.get(text);
  if (known !== undefined) return known;
  for (const { holds, fits, deep, translation } of patterns) {
    const match = text.includes(holds) && fits.exec(text);
    if (!match) continue;
    let gap = 0;
    return translation.replace(/\{\*?\}/g, () => { const i = gap++; return deep[i] && match[i + 1] !== NO_LABEL ? translated(match[i + 1]) : match[i + 1]; });
  }
  return null;
}

// The English stays known, so that another language can follow.
function exchanged(node, name, now) {
  const kept = shown.get(node) ?? {};
  const english = kept[name]?.[1] === now ? kept[name][0] : now;
  const core = english.trim();
  const next = core ? english.replace(core, () => { const words = core.replace(/\s+/g, " "), other = translated(words); return other === words ? core : other; }) : english;
  if (next !== english || kept[name]) shown.set(node, { ...kept, [name]: [english, next] });
  return next;
}

function text(node) {
  const verbatim = node.parentElement?.closest(VERBATIM);
  if (verbatim && !(verbatim.matches('[role="option"]') && OWN_NAMES.includes(node.data.trim()))) return;
  const next = exchanged(node, "", node.data);
  if (next !== node.data) node.data = next;
}

function attributes(element) {
  if (element.closest(PROMPTS)) return;
  for (const name of ATTRIBUTES) {
    const now = element.getAttribute(name);
    if (!now) continue;
    const next = exchanged(element, name, now);
    if (next !== now) element.setAttribute(name, next);
  }
}

function walk(root) {
  if (root.nodeType === Node.TEXT_NODE) return text(root);
  if (root.nodeType !== Node.ELEMENT_NODE) return;
  attributes(root);
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) walker.currentNode.nodeType === Node.TEXT_NODE ? text(walker.currentNode) : attributes(walker.currentNode);
}

const watcher = new MutationObserver(changes => {
  for (const change of changes) {
    if (change.type === "characterData") text(change.target);
    else if (change.type === "attributes") attributes(change.target);
    else change.addedNodes.forEach(walk);
  }
});

async function speak(code) {
  if (code === current) return;
  let file = { texts: {} };
  if (code !== "en") {
    try { file = await ask(`/easel/languages/${code}.json`); }
    catch { code = "en"; }      // without its file the page stays readable
  }
  current = code;
  texts = new Map(Object.entries(file.texts).filter(([english]) => !/\{\*?\}/.test(english)));
  // The one with most words of its own comes first: others may fit the same text as a whole.
  patterns = Object.entries(file.texts).filter(([english]) => /\{\*?\}/.test(english)).sort(([a], [b]) => words(b) - words(a)).map(pattern);
  document.documentElement.lang = code;
  document.documentElement.style.setProperty("--acting", JSON.stringify(` · ${translated("on")}`));
  watcher.disconnect();
  walk(document.body);
  tell("language", code);
  if (code !== "en") watcher.observe(document.body, { childList: true, characterData: true, subtree: true, attributes: true, attributeFilter: ATTRIBUTES });
}

export const follow = () => speak(easelLook.language());
follow();
