// The query box: SQL, or a query that has a name, over one run or all; read-only, so many rows, so many seconds.

view("sql", { title: () => "SQL", nav: () => source.isLive && "SQL", show: onlyServed(showSql) });

const OWN = ""; // the name of a query that has none

async function showSql({ run, query }) {
  const { queries, tables } = await ask("api/queries");
  const box = new QueryBox(queries, run);
  box.choose(query.get("named") ?? OWN, query.get("sql") ?? "SELECT round, count(*) AS rollouts, avg(reward) AS reward\nFROM episodes GROUP BY round ORDER BY round");
  return el("article", {}, el("h1", {}, "SQL"), box.form, box.result, tablesNode(tables));
}

class QueryBox {
  constructor(queries, run) {
    this.queries = new Map(queries.map((one) => [one.name, one]));
    const several = source.directory.runs.length > 1;
    this.run = several && el("select", { "aria-label": "of which run" }, source.directory.runs.map(({ id }) => el("option", { value: id, selected: id === run }, id)), el("option", { value: "" }, "all runs"));
    this.onlyRun = run;
    this.name = el("select", { "aria-label": "what to ask", onchange: () => this.choose(this.name.value, this.text.value) },
      el("option", { value: OWN }, "a statement of your own"),
      queries.map((one) => el("option", { value: one.name }, one.name)));
    this.text = el("textarea", { rows: 7, spellcheck: "false", autocapitalize: "off", "aria-label": "SQL" });
    this.asked = el("div");
    this.button = el("button", { type: "submit" }, "Run");
    this.form = el("form", { class: "query panel", onsubmit: (event) => this.submit(event) },
      el("div", { class: "row" }, this.run && el("label", {}, "of ", this.run), el("label", {}, "ask ", this.name)),
      this.asked,
      el("div", { class: "row" }, this.button, el("span", { class: "faint" }, el("kbd", {}, "Ctrl"), " ", el("kbd", {}, "Enter"), " runs it; it can read, and change nothing")));
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.submit(event);
    });
    this.result = el("section", { "aria-live": "polite" });
    this.waiting = null; // what ends the question that is asked
  }

  /** Ask for a query by its name, and its parameters, or for a statement. */
  choose(name, sql) {
    const query = this.queries.get(name);
    this.name.value = query ? name : OWN;
    if (!query) {
      this.text.value = sql;
      return refill(this.asked, this.text);
    }
    this.inputs = new Map(query.parameters.map((one) => [one.name, parameterInput(one)]));
    return refill(this.asked, el("p", {}, withCode(query.about)),
      query.parameters.map((one) => el("label", { class: "parameter" }, el("code", {}, one.name), this.inputs.get(one.name), el("span", { class: "faint" }, withCode(one.about)))),
      el("details", {}, el("summary", {}, "the statement"), el("pre", { class: "text" }, query.sql)));
  }

  submit(event) {
    event.preventDefault();
    return this.waiting ? this.waiting.abort() : this.ask();
  }

  question() {
    const run = this.run ? this.run.value || null : this.onlyRun;
    if (this.name.value === OWN) return { run, sql: this.text.value, named: null, parameters: {} };
    const given = [...this.inputs].filter(([, input]) => input.value !== "").map(([name, input]) => [name, input.value]);
    return { run, sql: "", named: this.name.value, parameters: Object.fromEntries(given) };
  }

  async ask() {
    const question = this.question();
    keepAddress(href(["sql"], current.run, question.named ? { named: question.named } : { sql: question.sql }));
    this.waiting = new AbortController();
    refill(this.button, "Cancel");
    refill(this.result, el("p", { class: "faint" }, "asked …"));
    try {
      const body = JSON.stringify(question);
      const answer = await send("api/sql", {}, { method: "POST", body, signal: this.waiting.signal });
      refill(this.result, resultNodes(await answer.json(), question.run));
    } catch (error) {
      refill(this.result, el("p", { class: error.name === "AbortError" ? "missing" : "problem" }, error.name === "AbortError" ? "cancelled" : error.message));
    }
    this.waiting = null;
    refill(this.button, "Run");
  }
}

function parameterInput({ kind, default: value }) {
  if (kind === "run") return el("select", {}, source.directory.runs.map(({ id }) => el("option", { value: id }, id)));
  return el("input", { type: "text", placeholder: value === null ? "needed" : value, required: value === null, inputmode: kind === "integer" ? "numeric" : null });
}

function resultNodes({ error, columns, rows, is_cut: isCut, left_out: lines, seconds }, run) {
  if (error !== undefined) return [el("p", { class: "problem" }, shownText(error))];
  const count = isCut ? `the first ${number(rows.length, 9)} rows; there are more: mopd sql prints all` : `${number(rows.length, 9)} ${rows.length === 1 ? "row" : "rows"}`;
  return [
    el("p", { class: "faint" }, `${count} in ${number(seconds, 2)} s`),
    lines.map((line) => el("p", { class: "problem" }, shownText(`left out: ${line}`))),
    rows.length > 0 && rowsTable(columns, rows, run),
  ];
}

function rowsTable(columns, rows, run) {
  const records = rows.map((row) => Object.fromEntries(row.map((value, index) => [`column ${index}`, value])));
  const places = rows.map((row) => placeOf(Object.fromEntries(columns.map((name, index) => [name, row[index]])), run));
  records.forEach((record, index) => { record.place = places[index]; });
  const shown = columns.map((name, index) => ({
    key: `column ${index}`, title: name, className: rows.every((row) => row[index] === null || typeof row[index] === "number") ? "num" : null,
    node: (record) => valueNode(record[`column ${index}`]),
  }));
  const link = places.some(Boolean) && { key: "place", title: "", sortable: false, node: ({ place }) => (place ? el("a", { href: place }, "open") : "") };
  return plainTable(records, [...(link ? [link] : []), ...shown], { label: "answer" });
}

/** Where a row leads: to the rollout, or the group, that it is of. */
function placeOf({ run: named, round, prompt_id: prompt, sample }, run) {
  const known = source.directory.runs.find(({ id }) => id === (named ?? run))?.id;
  if (!known || typeof round !== "number" || typeof prompt !== "string") return null;
  const group = ["round", round, "prompt", prompt];
  return href(typeof sample === "number" ? [...group, "sample", sample] : group, known);
}

function valueNode(value) {
  if (value === null) return el("span", { class: "faint" }, "null");
  return typeof value === "string" ? oneLine(value, 300) : String(value);
}

function tablesNode(tables) {
  return el("section", {}, el("h2", {}, "Tables and views"), tables.map(({ name, about, columns }) => el("details", {},
    el("summary", {}, el("code", {}, name), " ", withCode(about)),
    el("dl", { class: "facts" }, Object.entries(columns).map(([column, text]) => [el("dt", {}, el("code", {}, column)), el("dd", {}, withCode(text))])))));
}

/** A text of ours, in which code stands between backticks. */
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}
