// The runs that are served: how far each is, and what came of it.

const ROWS_AT_ONCE = 4; // that are asked for

view("runs", { title: () => "Runs", nav: () => source.isLive && "Runs", show: onlyServed(showRuns) });

const RUN_COLUMNS = [
  { key: "id", title: "run", node: ({ id }) => el("a", { href: href(["overview"], id) }, el("bdi", {}, shownText(id))) },
  { key: "state", title: "state", node: ({ state, problem }) => stateNode(state, problem) },
  { key: "rounds_done", title: "rounds", className: "num wide", node: ({ rounds_done: done, rounds }) => (rounds === undefined ? "" : `${done} of ${rounds}`) },
  { key: "pass_rate_last", title: "pass rate", className: "num wide", node: (row) => firstToLast(row, "pass_rate") },
  { key: "heldout_last", title: "held out", className: "num", node: (row) => firstToLast(row, "heldout") },
  { key: "model", title: "model", className: "wide" },
  { key: "variant", title: "contexts", className: "wide" },
  { key: "created", title: "started", className: "num", node: ({ created }) => agoNode(created) },
];

async function showRuns() {
  const rows = new RunRows();
  const table = askedTable((request) => pageOf(rows.list(), request), RUN_COLUMNS, {
    order: [["created", "desc"]], label: "runs", onrow: (row, { id }) => runLink(row, id), ...furniture(source.directory.runs.length),
  });
  rows.fill(() => table.refresh?.());
  const listen = async ({ detail: { moments } }) => {
    if (!table.isConnected) return removeEventListener("changes", listen);
    await rows.follow(moments, () => table.refresh?.());
  };
  addEventListener("changes", listen);
  const none = source.directory.runs.length === 0 && el("p", { class: "missing" }, "None is there now; one that comes appears here.");
  return el("article", { class: "runs" }, el("h1", {}, "Runs"), none || el("p", { class: "faint" }, "From the first round, or policy, to the last that has a number. The list follows the runs."), table);
}

/** The rows of the table, by run; those of a run that changed are asked for again, and stay as they are until the answer. */
class RunRows {
  constructor() {
    this.rows = new Map();
    this.moments = {}; // of which the rows are
    this.latest = {}; // that the server tells of
    this.isFilling = false;
  }

  /** A run whose row isn't there yet has its name alone. */
  list() {
    return source.directory.runs.map(({ id }) => this.rows.get(id) ?? { id, state: null, created: null });
  }

  async follow(latest, redraw) {
    this.latest = latest;
    const gone = [...this.rows.keys()].filter((id) => !(id in latest));
    for (const id of gone) this.rows.delete(id);
    if (gone.length || this.wanting().length) await this.fill(redraw);
  }

  /** Runs without a row, and those that changed since. */
  wanting() {
    return source.directory.runs.map(({ id }) => id).filter((id) => !this.rows.has(id) || this.moments[id] < this.latest[id]);
  }

  /** Ask for the rows that are wanting, some at once; `redraw` after each. */
  async fill(redraw) {
    if (this.isFilling) return;
    this.isFilling = true;
    const wanting = this.wanting();
    const askNext = async () => {
      for (let id = wanting.shift(); id !== undefined; id = wanting.shift()) {
        await this.askRow(id);
        redraw();
      }
    };
    await Promise.all(Array.from({ length: ROWS_AT_ONCE }, askNext));
    this.isFilling = false;
    redraw();
  }

  async askRow(id) {
    try {
      const answer = await send(`api/run/${encodeURIComponent(id)}/row`, {});
      this.moments[id] = Number(answer.headers.get("Mopd-Moment"));
      this.rows.set(id, await answer.json());
    } catch (error) {
      this.moments[id] = -1; // it is asked for again
      this.rows.set(id, { created: null, ...this.rows.get(id), id, state: "can't be read", problem: failureText(error) });
    }
  }
}

function stateNode(state, problem) {
  if (state === null || state === undefined) return el("span", { class: "faint" }, "…");
  const kind = { finished: "success", running: "accent", "not finished": "faint", unknown: "faint" }[state] ?? "failure";
  return el("div", {}, el("span", { class: `badge ${kind}` }, state), problem && el("p", { class: "problem" }, shownText(problem)));
}

function firstToLast(row, name) {
  const [first, last] = [row[`${name}_first`], row[`${name}_last`]];
  if (last === null || last === undefined) return MISSING;
  return el("span", { class: "one-piece" }, first === last ? percent(last) : `${percent(first)} → ${percent(last)}`);
}

function agoNode(created) {
  if (!created) return MISSING;
  return el("time", { class: "one-piece", datetime: created, title: created }, `${age((Date.now() - Date.parse(created)) / 1000)} ago`);
}

/** Seconds in the largest unit that they have. */
function age(seconds) {
  for (const [unit, length] of [["d", 86_400], ["h", 3600], ["min", 60]]) if (seconds >= length) return `${Math.floor(seconds / length)} ${unit}`;
  return `${Math.max(0, Math.floor(seconds))} s`;
}

/** The whole row leads to the run. */
function runLink(row, id) {
  row.classList.add("way");
  row.addEventListener("click", (event) => !event.target.closest("a") && !getSelection().toString() && go(["overview"], id));
}
