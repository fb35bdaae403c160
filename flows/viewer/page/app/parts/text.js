// Text that a model wrote: all of it, as it is, and what would hide in it made visible.

/** Control characters but for line ends and tabs; those that turn the direction of a line; ends of lines of Unicode. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/gu;

function nameHidden(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The text for where no node may stand: a choice, the window's title. */
function plainText(text) {
  return text.replace(HIDDEN, nameHidden);
}

/** The text as nodes; a hidden character stands there by its number, and does nothing. */
function shownText(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(HIDDEN)) {
    nodes.push(text.slice(end, match.index), el("span", { class: "hidden-character" }, nameHidden(match[0])));
    end = match.index + match[0].length;
  }
  return [...nodes, text.slice(end)].filter((part) => part !== "");
}

/** A block of text; of a long one the beginning, and a button for the rest. */
function longText(text, limit = 4000) {
  const block = el("pre", { class: "text", dir: "auto" });
  const show = (isCut) => refill(block, shownText(isCut ? wholeCharacters(text, limit) : text), isCut && [
    el("span", {}, "… "),
    el("button", { type: "button", onclick: () => show(false) }, `show all ${number(text.length, 9)} characters`),
  ]);
  return show(text.length > limit);
}

/** The text in one line, for a cell. */
function oneLine(text, limit = 160) {
  const line = wholeCharacters(text, limit + 1).replace(/\s+/g, " ");
  return el("bdi", { class: "one-line" }, shownText(text.length > limit ? `${line.slice(0, -1)}…` : line));
}

/** The first so many units of a text, without half a character at its end. */
function wholeCharacters(text, length) {
  return text.slice(0, length).replace(/[\ud800-\udbff]$/, "");
}
