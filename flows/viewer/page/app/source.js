// Where documents come from: out of the page itself, or from `mopd view`. Views ask `source` and don't know which.
//
//   source.directory                        {runs: [{id, name, address}], made, version, left_out: [line], measures: [title]}
//   await source.get(run, name, parameters) a document, as flows/viewer/documents/ has it; null where the page lacks it
//   await source.page(run, name, request)   some rows of a table: {rows, total, filtered};
//                                           request: {start, length, search, order: [[column, "asc" | "desc"]]}

class FileSource {
  constructor() {
    this.directory = JSON.parse(document.getElementById("directory").textContent);
    this.blocks = new Map();
  }

  async get(run, name, parameters = {}) {
    const key = [run, name, ...Object.values(parameters)].join("/");
    const block = this.directory.blocks[key];
    return block === undefined ? null : (await this.block(block))[key];
  }

  /** What is packed together, unpacked once. */
  block(number) {
    if (!this.blocks.has(number)) this.blocks.set(number, unpack(document.getElementById(`block-${number}`).textContent));
    return this.blocks.get(number);
  }

  async page(run, name, { start, length, search, order }) {
    const { rows } = await this.get(run, name);
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((row) => has(row, words));
    for (const [column, way] of [...order].reverse()) found.sort((a, b) => compare(a[column], b[column], way));
    return { rows: found.slice(start, start + length), total: rows.length, filtered: found.length };
  }
}

class ServerSource {
  constructor(directory) {
    this.directory = directory;
  }

  static async open() {
    return new ServerSource(await ask("api/directory", {}));
  }

  get(run, name, parameters = {}) {
    return ask(`api/run/${encodeURIComponent(run)}/${name}`, parameters);
  }

  page(run, name, request) {
    return ask(`api/run/${encodeURIComponent(run)}/${name}`, { ...request, order: JSON.stringify(request.order) });
  }
}

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function ask(path, parameters) {
  const token = new URLSearchParams(location.search).get("token");
  const answer = await fetch(`${path}?${new URLSearchParams(parameters)}`, { headers: { Authorization: `Bearer ${token}` } });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function has(row, words) {
  const text = Object.values(row).filter((value) => typeof value === "string").join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function compare(a, b, way) {
  if (a === null || b === null) return (a === null) - (b === null); // what is missing comes last, either way
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return way === "desc" ? -order : order;
}
