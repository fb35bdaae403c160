// The tokens of a reply: each coloured by what the teacher thinks of it, and what is known of the one that is looked at.

/** From so many nats on a token is coloured, more and more. */
const SHADES = [0.3, 1, 3];
const MOST_TOKENS = 3000; // shown at first
const NUM_JUMPS = 10;

const vocabularies = new Map();

/** The text of each token id, asked for once: {texts: {id: text}, special: Set}. */
function vocabularyOf(run) {
  return keepPromise(vocabularies, run, async () => {
    const words = await source.get(run, "vocabulary");
    return { texts: words?.texts ?? {}, special: new Set(words?.special) };
  });
}

/** A token alone, as text; by its id where nobody knows its text. */
function tokenText(id, words) {
  return words.texts[id] ?? `⟨${id}⟩`;
}

/** Teacher minus student, null for each token where one of them is missing. */
function shiftsOf(score) {
  return score ? score.teacher_logps.map((teacher, position) => difference(teacher, score.student[position])) : null;
}

function difference(a, b) {
  return a === null || b === null ? null : a - b;
}

function magnitudes(values) {
  return (values ?? []).map((value) => (value === null ? null : Math.abs(value)));
}

function meanOf(values) {
  const known = (values ?? []).filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

function shade(shift) {
  const level = shift === null ? 0 : SHADES.filter((least) => Math.abs(shift) >= least).length;
  return level === 0 ? "" : `${shift > 0 ? "up" : "down"}-${level}`;
}

function probability(logp) {
  return logp === null ? MISSING : percent(Math.exp(logp));
}

/** What a token is, in words: more than its colour says. */
function opinion(shift) {
  if (shift === null || shift === undefined) return "not scored";
  if (Math.abs(shift) < SHADES[0]) return `teacher agrees (${signed(shift)} nats)`;
  return `${number(Math.exp(Math.abs(shift)), 2)} times ${shift > 0 ? "likelier" : "less likely"} to the teacher (${signed(shift)} nats)`;
}

/**
 * The reply to look at: its tokens, one of which is active, and the parts of the page that follow it. `rollout`: the
 * document; `reading`: of one context; `words`: of `vocabularyOf`; `onmove(position)`: told which token is active.
 */
class Reply {
  constructor(rollout, reading, words, onmove) {
    Object.assign(this, { rollout, reading, words, onmove });
    this.score = reading?.score ?? null;
    this.shifts = shiftsOf(this.score);
    this.pieces = piecesOf(rollout, words);
    this.pieceOf = this.pieces.flatMap((piece) => Array(piece.count).fill(piece));
    this.losses = this.score?.loss.values ?? null;
    this.total = (this.losses ?? []).reduce((sum, loss) => sum + (loss ?? 0), 0);
    this.active = this.jumps()[0] ?? 0;
    this.follows = [];
    this.selected = null;
    this.marked = this.all = false;
    this.rest = el("p", {});
    this.list = el("div", { class: "tokens text", role: "listbox", tabindex: "0", dir: "auto", "aria-label": "Tokens of the reply",
      onmouseover: (event) => this.look(event, (position) => this.tell(position)),
      onmouseleave: () => this.tell(this.active),
      onclick: (event) => this.look(event, (position) => this.go(position)) });
  }

  get length() {
    return this.rollout.token_ids.length;
  }

  /** Do something with the token that is active, or looked at for a moment. */
  follow(act) {
    this.follows.push(act);
    act(this.active);
  }

  tell(position) {
    for (const act of this.follows) act(position);
  }

  look(event, act) {
    const option = event.target.closest("[role=option]");
    if (option && !(event.type === "click" && getSelection().toString())) act(Number(option.dataset.position));
  }

  /** Make a token the active one. */
  go(position) {
    if (position < 0 || position >= this.length) return;
    this.active = position;
    if (!this.options.has(this.pieceAt(position).first)) this.draw({ all: true });
    this.mark();
    this.tell(position);
    this.onmove(position);
    this.selected.scrollIntoView({ block: "nearest" });
  }

  step(by) {
    this.go(this.active + by);
  }

  /** Positions of the tokens that matter most, most first: by their loss, or else by how far teacher and student are apart. */
  jumps() {
    const weights = this.losses ?? this.shifts?.map((shift) => Math.abs(shift ?? 0)) ?? [];
    return weights.map((weight, position) => [weight ?? 0, position]).sort((a, b) => b[0] - a[0]).slice(0, NUM_JUMPS).filter(([weight]) => weight > 0).map(([, position]) => position);
  }

  /** The next of those after the active one, in the order of the list. */
  jump() {
    const places = this.jumps();
    if (places.length) this.go(places[(places.indexOf(this.active) + 1) % places.length]);
  }

  pieceAt(position) {
    return this.pieceOf[position];
  }

  shiftAt(position) {
    return this.shifts?.[position] ?? null;
  }

  /** The share of the reply's loss that a token has. */
  shareAt(position) {
    return this.total ? (this.losses[position] ?? 0) / this.total : null;
  }

  /** Draw the tokens: all, or so many that a long reply opens fast. `marked`: white space is shown. */
  draw({ marked = this.marked, all = this.all }) {
    Object.assign(this, { marked, all });
    const isCut = !all && this.length > MOST_TOKENS;
    const shown = isCut ? this.pieces.filter(({ first }) => first < Math.max(MOST_TOKENS, this.active + 1)) : this.pieces;
    this.options = new Map(shown.map((piece) => [piece.first, this.option(piece, marked)]));
    this.list.replaceChildren(...this.options.values());
    this.mark();
    refill(this.rest, isCut && el("button", { type: "button", onclick: () => this.draw({ all: true }) }, `show all ${number(this.length, 9)} tokens`));
  }

  option({ first, count, text }, marked) {
    const shift = this.shifts && this.shifts.slice(first, first + count).reduce((sum, one) => sum + (one ?? 0), 0);
    const isSpecial = this.words.special.has(this.rollout.token_ids[first]);
    const classes = ["token", shift === null ? "" : shade(shift), isSpecial ? "special" : ""].filter(Boolean).join(" ");
    return el("span", { class: classes, role: "option", id: `token-${first}`, "data-position": first, "aria-selected": "false", "aria-label": blankName(text) }, tokenNodes(text, marked || (shift !== null && shade(shift) && !text.trim())));
  }

  mark() {
    this.selected?.setAttribute("aria-selected", "false");
    this.selected = this.options.get(this.pieceAt(this.active).first);
    this.selected.setAttribute("aria-selected", "true");
    this.list.setAttribute("aria-activedescendant", this.selected.id);
  }
}

/** Tokens as they are shown: those that are characters only together are one piece. */
function piecesOf({ token_ids: ids, joined }, words) {
  const together = new Map(joined.map((piece) => [piece.first, piece]));
  const pieces = [];
  for (let position = 0; position < ids.length; position += pieces.at(-1).count) {
    pieces.push(together.get(position) ?? { first: position, count: 1, text: tokenText(ids[position], words) });
  }
  return pieces;
}

const MARKS = { " ": "·", "\n": "⏎", "\t": "⇥" };

/** The text of a token; `marked`: its white space by signs. */
function tokenNodes(text, marked) {
  if (!marked) return shownText(text);
  return [...text.matchAll(/([ \n\t])|[^ \n\t]+/g)].map(([part, space]) => {
    if (!space) return shownText(part);
    return [el("span", { class: "space" }, MARKS[space]), space === "\n" ? "\n" : ""];
  });
}

const BLANKS = { " ": "space", "\n": "line end", "\t": "tab" };

/** What is read out of white space alone; null of other text, which says itself. */
function blankName(text) {
  return text.trim() ? null : [...text].map((character) => BLANKS[character] ?? "white space").join(", ") || "nothing";
}

/** A token in a line of text, in its own direction, its white space marked. */
function tokenName(text) {
  return el("bdi", { class: "token-name" }, text === "" ? "(nothing)" : tokenNodes(text, true));
}
