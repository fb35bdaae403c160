// The rollouts of a round, and the way from one to the next in some order.

/** Orders to go through a round's rollouts in: `takes`: which of them; `by`: a column, its largest first, else by key. */
const WALKS = {
  key: { title: "prompt and sample" },
  disagreement: { title: "largest disagreement", by: "disagreement" },
  flip: { title: "what flipped", takes: (row) => row.turned !== null || row.flip !== null },
  success: { title: "successes", takes: (row) => row.outcome === "success" },
  failure: { title: "failures", takes: (row) => row.outcome === "failure" },
};

let lastRound = { key: null, rows: null };
let moments = {}; // of which the runs of a served page are

addEventListener("changes", ({ detail }) => { moments = detail.moments ?? {}; });

/** The rows of a round, asked for anew where another one was, or the run changed; null where the round isn't there. */
function rowsOfRound(run, round) {
  const key = JSON.stringify([run, round, moments[run] ?? null]);
  if (lastRound.key !== key) lastRound = { key, rows: source.get(run, "rollouts", { round }).then((page) => page && rowsOf(page)) };
  lastRound.rows.catch(() => { lastRound = { key: null, rows: null }; });
  return lastRound.rows;
}

/** Columns as rows. */
function rowsOf({ columns, questions }) {
  const names = Object.keys(columns);
  return columns.sample.map((_, number) => {
    const row = Object.fromEntries(names.map((name) => [name, columns[name][number]]));
    return { ...row, question: questions[row.prompt_id] ?? "" };
  });
}

/** Who comes before and after a rollout, and which it is of how many; `number` is null where the walk passes it by. */
function neighbours(rows, { prompt, sample }, name) {
  const { takes = () => true, by } = WALKS[name];
  const ordered = by ? [...rows].sort((a, b) => compare(a[by], b[by], "desc")) : rows;
  const here = ordered.findIndex((row) => row.prompt_id === prompt && row.sample === Number(sample));
  const before = ordered.slice(0, Math.max(here, 0)).filter(takes);
  const after = ordered.slice(here + 1).filter(takes);
  const isTaken = here >= 0 && takes(ordered[here]);
  return {
    previous: before.at(-1) ?? null,
    next: after[0] ?? null,
    number: isTaken ? before.length + 1 : null,
    total: before.length + Number(isTaken) + after.length,
  };
}

function rolloutParts(round, row) {
  return ["round", round, "prompt", row.prompt_id, "sample", row.sample];
}
