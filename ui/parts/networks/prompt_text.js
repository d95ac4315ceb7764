// Networks and words in the text of a prompt: whether they are there, and the text with or without them.

const TAGS = { lora: "lora|lyco", hypernetwork: "hypernet" };
const NO_LETTER_BEFORE = "(?<![\\p{L}\\p{N}_-])", NO_LETTER_BEHIND = "(?![\\p{L}\\p{N}_-])";

const quoted = text => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
const spelt = text => quoted(text.trim()).replace(/\s+/g, "\\s+");
const word = text => `${NO_LETTER_BEFORE}${spelt(text)}${NO_LETTER_BEHIND}`;

// A network is { kind, said, name, alias }; `kind` "words" means `said` as it stands.
function pattern({ kind, said, name, alias }) {
  const names = [...new Set([said, ...(kind in TAGS ? [name, alias] : [])])].filter(Boolean);
  if (!names.length) return null;
  const one = kind in TAGS ? `<(?:${TAGS[kind]}):\\s*(?:${names.map(spelt).join("|")})\\s*(?::[^<>]*)?>` : `(?:${names.map(word).join("|")})`;
  return new RegExp(`\\(\\s*${one}\\s*(?::[^()]*)?\\)|${one}`, "giu");
}

export const stands = (text, network) => Boolean(pattern(network)?.test(text));

export function written({ kind, said, weight }) {
  return kind in TAGS ? `<${TAGS[kind].split("|")[0]}:${said}:${weight ?? 1}>` : said;
}

// At the end, behind a space or a comma; on a line of its own where the last one is a comment.
export function withAdded(text, network) {
  if (!text.trim() || /\n[ \t]*$/.test(text)) return text + written(network);
  if (/#[^\n]*$/.test(text)) return `${text}\n${written(network)}`;
  const between = network.kind in TAGS || /,\s*$/.test(text) ? " " : ", ";
  return text.replace(/[ \t]+$/, "") + between + written(network);
}

// Everywhere; of the commas and spaces around it those stay that are still needed.
export function without(text, network) {
  let rest = text;
  for (let match; (match = pattern(network)?.exec(rest));) rest = joined(rest.slice(0, match.index), rest.slice(match.index + match[0].length));
  return rest;
}

function joined(left, right) {
  if (!left.trim() || /[([{|\n]\s*$/.test(left)) return left + right.replace(/^[ \t,]+/, "");
  if (/^\s*([,)\]}|\n]|$)/.test(right)) return left.replace(/[ \t,]+$/, "") + right.replace(/^[ \t]+/, "");
  return left.replace(/[ \t]+$/, " ") + right.replace(/^[ \t]+/, "");
}
