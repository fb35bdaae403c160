// Where documents come from: out of the page itself, or from `mopd view` (served.js). Views ask `source` and don't know
// which.
//
//   source.directory                        {runs: [{id, name, address}], made, version, left_out: [line]}
//   source.isLive                           whether it is served, by `mopd view`
//   await source.get(run, name, parameters) a document, as flows/viewer/documents/ has it; null where the page lacks it.
//                                           `run`: null for what is of no run alone: measures, pairs
//   await source.page(run, name, request, parameters)   some rows of a table: {rows, total, filtered, note};
//                                           request: {start, length, search, order: [[column, "asc" | "desc"]], filters: {column: value}}

/** What a search looks through, by the name of the table; of others in all that is text. */
const SEARCHED = {
  prompts: ["prompt_id", "dataset", "question", "answer"],
  rollouts: ["prompt_id", "outcome", "prediction", "why", "turned", "flip", "question"],
};
const MOST_BLOCKS = 24; // unpacked at a time

class FileSource {
  constructor() {
    const { blocks, ...directory } = JSON.parse(document.getElementById("directory").textContent);
    this.directory = directory;
    this.places = new Map(Object.entries(blocks));
    this.unpacked = new Map();
  }

  /** What is of a group lies together: the directory knows a group by its round and prompt. */
  async get(run, name, parameters = {}) {
    if (name === "prompt_rounds") return this.promptRounds(run, parameters.prompt);
    const { round, prompt } = parameters;
    const values = Object.values(parameters);
    const number = this.places.get(documentKey(prompt === undefined ? [run, name, ...values] : [run, round, prompt]));
    return number === undefined ? null : (await this.block(number)).get(documentKey([run, name, ...values])) ?? null;
  }

  /** The documents that are packed together, by their keys. */
  block(number) {
    if (!this.unpacked.has(number) && this.unpacked.size >= MOST_BLOCKS) this.unpacked.delete(this.unpacked.keys().next().value);
    return keepPromise(this.unpacked, number, () => unpack(document.getElementById(`block-${number}`).textContent));
  }

  async page(run, name, request, { round, ...key } = {}) {
    const table = await (round === undefined ? this.get(run, name) : this.rollouts(run, round));
    if (name === "neighbours") return table && neighboursIn(table.rows, request, key);
    if (!table) return { rows: [], total: 0, filtered: 0, note: "This round is not here: the file was too small for it." };
    return { ...pageOf(table.rows, request, SEARCHED[name]), note: table.note };
  }

  /** A round's rollouts as rows: columns take less room in a file. */
  async rollouts(run, round) {
    const table = await this.get(run, "rollouts", { round });
    if (!table) return null;
    const names = Object.keys(table.columns);
    const rows = table.columns.sample.map((_, place) => Object.fromEntries(names.map((name) => [name, table.columns[name][place]])));
    return { rows: rows.map((row) => ({ ...row, question: table.questions[row.prompt_id] ?? null })), note: table.note };
  }

  async promptRounds(run, prompt) {
    const { rows } = await this.get(run, "prompts");
    return { rounds: rows.find((row) => row.prompt_id === prompt)?.rounds ?? [] };
  }
}

/** What is promised under a key, asked for once; a promise that fails isn't kept: the next to ask asks again. */
function keepPromise(promises, key, make) {
  if (!promises.has(key)) {
    const promise = make();
    promises.set(key, promise);
    promise.catch(() => promises.get(key) === promise && promises.delete(key));
  }
  return promises.get(key);
}

/** What `source.page` answers, of rows that are there; a length below 0: of all of them; `searched`: these columns alone. */
function pageOf(rows, { start, length, search = "", order = [], filters = {} }, searched = null) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = rows.filter((row) => hasValues(row, filters) && has(row, words, searched));
  for (const [column, way] of [...order].reverse()) found.sort((a, b) => compare(a[column], b[column], way));
  return { rows: found.slice(start, length < 0 ? undefined : start + length), total: rows.length, filtered: found.length };
}

/** As the server's `neighbours`: who comes before and after a row among those that have the filters' values. */
function neighboursIn(rows, { order, filters }, { prompt, sample }) {
  const ordered = pageOf(rows, { start: 0, length: -1, order }).rows;
  const here = ordered.findIndex((row) => row.prompt_id === prompt && row.sample === Number(sample));
  if (here < 0) return null;
  const isTaken = (row) => hasValues(row, filters);
  const [before, after] = [ordered.slice(0, here).filter(isTaken), ordered.slice(here + 1).filter(isTaken)];
  const itself = Number(isTaken(ordered[here]));
  return {
    previous: before.at(-1) ?? null, next: after[0] ?? null,
    number: itself ? before.length + 1 : null, total: before.length + itself + after.length,
    turned: ordered[here].turned, flip: ordered[here].flip,
  };
}

function documentKey(parts) {
  return parts.filter((part) => part !== null).join("/");
}

/** gzip in base64, of documents by their keys. */
async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Map(Object.entries(JSON.parse(await new Response(stream).text())));
}

function hasValues(row, filters) {
  return Object.entries(filters).every(([column, value]) => row[column] === value);
}

function has(row, words, searched) {
  const text = (searched?.map((column) => row[column]) ?? Object.values(row)).filter((value) => typeof value === "string").join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function compare(a, b, way) {
  if (a === null || b === null) return (a === null) - (b === null); // what is missing comes last, either way
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return way === "desc" ? -order : order;
}
