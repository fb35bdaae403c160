// The rollouts of a round as a table: sorted, searched and filtered, each a way to its own page.

const TRAITS = {
  cut: { title: "cut", filters: { is_cut: true } },
  whole: { title: "not cut", filters: { is_cut: false } },
  distilled: { title: "distilled", filters: { distill: true } },
  alone: { title: "shown no peers", filters: { distill: false } },
  flipped: { title: "flipped", filters: { is_flipped: true } },
};

view("rollouts", {
  title: () => "Rollouts",
  nav: "Rollouts",
  show: showRollouts,
  keys: { "[": ["the round before", (place) => turnRound(place, -1)], "]": ["the round after", (place) => turnRound(place, 1)] },
});

async function showRollouts({ run, query }) {
  const { rounds } = (await source.get(run, "rounds")) ?? { rounds: [] };
  if (!rounds.length) return el("article", {}, el("h1", {}, "Rollouts"), el("p", { class: "missing" }, "There are none yet."));
  const asked = query.get("round") ?? String(rounds.at(-1));
  const round = rounds.find((number) => String(number) === asked);
  if (round === undefined) return noRound(asked, rounds, run);
  const outcome = query.get("outcome") in OUTCOME_MARKS ? { outcome: query.get("outcome") } : {};
  const filters = { ...outcome, ...TRAITS[query.get("only")]?.filters };
  const counted = el("span", { class: "faint" });
  const tell = ({ filtered, total }) => refill(counted, `${number(filtered, 9)} of ${number(total, 9)}`);
  return el("article", { class: "rollouts" },
    el("h1", {}, `Rollouts of round ${round}`),
    el("div", { class: "row" },
      choose("round", rounds.map((number) => [String(number), String(number)]), String(round), query),
      choose("outcome", [["", "any"], ...Object.keys(OUTCOME_MARKS).map((name) => [name, name])], query.get("outcome") ?? "", query),
      choose("only", [["", "all"], ...Object.entries(TRAITS).map(([name, { title }]) => [name, title])], query.get("only") ?? "", query),
      counted),
    el("p", { class: "legend" }, "Disagreement: mean over a reply's tokens of the distance of teacher and student, in nats; teacher − student: the mean with its sign. A prompt flips where its pass rate crosses one half since the round that asked it before."),
    rolloutTable(run, round, filters, tell));
}

function noRound(asked, rounds, run) {
  return el("article", {},
    el("h1", {}, "No such round"),
    el("p", { class: "missing" }, "There are no rollouts of round ", el("bdi", {}, shownText(asked)), "."),
    el("p", {}, "Rounds that have some: ", rounds.map((number) => [el("a", { href: href(["rollouts"], run, { round: number }) }, `round ${number}`), " "])));
}

/** A select whose choice stands in the address. */
function choose(name, choices, chosen, query) {
  const changed = (value) => {
    const asked = new URLSearchParams(query);
    asked.set(name, value);
    location.hash = href(["rollouts"], current.run, Object.fromEntries([...asked].filter(([, one]) => one !== "")));
  };
  return el("label", {}, `${name} `, el("select", { id: `choose-${name}`, onchange: (event) => changed(event.target.value) },
    choices.map(([value, title]) => el("option", { value, selected: value === chosen }, title))));
}

async function turnRound({ run, query }, by) {
  const { rounds } = await source.get(run, "rounds");
  const round = rounds[rounds.indexOf(Number(query.get("round") ?? rounds.at(-1))) + by];
  if (round !== undefined) location.hash = href(["rollouts"], run, { ...Object.fromEntries(query), round });
}

function rolloutTable(run, round, filters, onpage) {
  const columns = [
    { key: "prompt_id", title: "prompt", node: (row) => el("span", {}, el("bdi", {}, shownText(row.prompt_id)), row.question && el("span", { class: "asked" }, oneLine(row.question, 120))) },
    { key: "sample", title: "reply", className: "num" },
    { key: "outcome", title: "outcome", node: (row) => outcomeBadge(row.outcome, row.why) },
    { key: "prediction", title: "prediction", className: "wide", node: (row) => (row.prediction === null ? MISSING : oneLine(row.prediction, 40)) },
    { key: "reward", title: "reward", className: "num wide", node: (row) => number(row.reward) },
    { key: "num_tokens", title: "tokens", className: "num wide", node: (row) => `${number(row.num_tokens, 9)}${row.is_cut ? ", cut" : ""}` },
    { key: "disagreement", title: "disagreement", className: "num", node: (row) => nats(row.disagreement) },
    { key: "shift", title: "teacher − student", className: "num wide", node: (row) => signedNats(row.shift) },
    { key: "flip", title: "flip", className: "wide", node: (row) => [row.turned, row.flip && `prompt ${row.flip}`].filter(Boolean).join("; ") },
  ];
  const onrow = (element, row) => rowLink(element, replyPlace({ round, ...row }, row.sample));
  return askedTable((request) => source.page(run, "rollouts", request, { round }), columns, {
    label: "Rollouts", order: [["disagreement", "desc"]], filters: () => filters, onrow, onpage,
  });
}
