// Prompts: how often each is solved, round by round; below the table the same as a map.

view("prompts", { title: () => "Prompts", nav: "Prompts", show: showPrompts });

const FLIP_WORDS = "A flip: solved, by a pass rate of at least 0.5, in one round and not in the next that asked it, or the other way round.";

async function showPrompts({ run, query }) {
  const filters = await source.get(run, "prompt_filters");
  if (!filters?.rounds.length) return el("article", {}, el("h1", {}, "Prompts"), el("p", { class: "missing" }, "No rollouts yet."));
  const wanted = readTable(query);
  const map = promptMap(run, filters.rounds);
  const ask = async (request) => {
    const page = await source.page(run, "prompts", request);
    learnRounds(filters.rounds, page.rows);
    return page;
  };
  const table = askedTable(ask, promptColumns(filters), {
    label: "Prompts", order: wanted.order, search: { search: wanted.search }, displayStart: wanted.start,
    filters: () => ({ ...wanted.filters }),
    onrow: (element, row) => rowLink(element, ["round", row.rounds.at(-1)[0], "prompt", row.prompt_id]),
    onpage: (_, request) => {
      keepTable(run, request);
      map.follow(request);
    },
  });
  return el("article", { class: "prompts" },
    el("h1", {}, "Prompts"),
    el("p", { class: "legend" }, `A row opens the group of the last round that asked it. ${FLIP_WORDS}`),
    filterRow(filters, wanted.filters, () => table.reload()),
    table, map.node);
}

/** Rounds that came since the list of them was asked for. */
function learnRounds(rounds, rows) {
  const known = new Set(rounds);
  const others = rows.flatMap((row) => row.rounds.map(([round]) => round)).filter((round) => !known.has(round));
  rounds.push(...new Set(others));
  rounds.sort((a, b) => a - b);
}

function promptColumns({ rounds, datasets }) {
  const columns = [
    { key: "prompt_id", title: "prompt", node: promptName },
    { key: "dataset", title: "dataset", className: "wide" },
    { key: "answer", title: "answer", sortable: false, className: "wide", node: ({ answer }) => oneLine(answer ?? MISSING, 40) },
    { key: "rounds", title: "by round", sortable: false, node: (row) => passStrip(row.rounds, rounds) },
    { key: "pass_rate", title: "pass rate", className: "num", node: firstAndLast },
    { key: "flips", title: "flips", className: "num" },
    { key: "num_with_peers", title: "shown peers", className: "num wide", node: (row) => (row.num_contexts ? `${row.num_with_peers} of ${row.num_contexts}` : MISSING) },
    { key: "mean_tokens", title: "tokens", className: "num wide", node: (row) => number(row.mean_tokens) },
  ];
  return datasets.length > 1 ? columns : columns.filter(({ key }) => key !== "dataset");
}

function promptName({ prompt_id, question }) {
  return el("span", { class: "prompt-name" }, question && oneLine(question, 120), el("span", { class: "faint" }, oneLine(prompt_id)));
}

/** The pass rate of the last round that was judged, behind that of the first. */
function firstAndLast({ rounds, pass_rate: last, pass_rate_first: first }) {
  return rounds.length > 1 && last !== null ? `${(100 * first).toFixed(1)} → ${percent(last)}` : percent(last);
}

/** Selects for what rows can be filtered by; `change` is called once `chosen` has what was selected. */
function filterRow({ datasets }, chosen, change) {
  const choice = (column, name, options) =>
    el("label", {}, `${name} `, el("select", {
      "aria-label": name,
      onchange: ({ target }) => {
        delete chosen[column];
        if (target.value !== "") chosen[column] = JSON.parse(target.value);
        change();
      },
    }, [["any", undefined], ...options].map(([text, value]) =>
      el("option", { value: value === undefined ? "" : JSON.stringify(value), selected: chosen[column] === value }, text))));
  return el("div", { class: "row filters" },
    choice("kind", "successes in the last round", [["none", "none"], ["some, not all", "mixed"], ["all", "all"], ["not judged", null]]),
    choice("flipped", "flips", [["some", true], ["none", false]]),
    datasets.length > 1 && choice("dataset", "dataset", datasets.map((dataset) => [dataset, dataset])));
}

const FIRST_ORDER = [["flips", "desc"], ["pass_rate", "asc"]];

/** What the address says of the table: who comes back finds it as it was. */
function readTable(query) {
  const json = (name, otherwise) => {
    try {
      return JSON.parse(query.get(name)) ?? otherwise;
    } catch {
      return otherwise;
    }
  };
  return { start: json("start", 0), search: query.get("search") ?? "", order: json("order", FIRST_ORDER), filters: json("filters", {}) };
}

function keepTable(run, { start, search, order, filters }) {
  if (current.route?.pattern !== "prompts") return;
  const query = { ...(start && { start }), ...(search && { search }) };
  if (JSON.stringify(order) !== JSON.stringify(FIRST_ORDER)) query.order = JSON.stringify(order);
  if (Object.keys(filters).length) query.filters = JSON.stringify(filters);
  keepAddress(href(["prompts"], run, query));
}
