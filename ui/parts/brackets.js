// Brackets without a partner. What a backslash escapes and what a comment holds are no brackets, and `<` is one only where a network's name
// may follow.

const PARTNER = { ")": "(", "]": "[", "}": "{", ">": "<" };
const SIGNS = /\\.|<(?=[a-z]+:)|[()[\]{}>]/gis, COMMENTED = /#[^\n]*|\\.|<(?=[a-z]+:)|[()[\]{}>]/gis;

// Their places in the text; `comments` tells whether a # begins a comment.
export function unmatched(text, comments = true) {
  const open = [], wrong = [];
  for (const { 0: sign, index } of text.matchAll(comments ? COMMENTED : SIGNS)) {
    if (sign.length > 1) continue;
    if (!(sign in PARTNER)) { open.push({ sign, index }); continue; }
    const at = open.findLastIndex(one => one.sign === PARTNER[sign]);
    if (at >= 0) wrong.push(...open.splice(at).slice(1).map(one => one.index));
    else if (sign !== ">") wrong.push(index);
  }
  return [...wrong, ...open.map(one => one.index)].sort((a, b) => a - b);
}
