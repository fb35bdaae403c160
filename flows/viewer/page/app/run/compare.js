// Runs beside each other: of a file all that it holds; of a server those that the address names.

view("compare", {
  title: () => "Compare",
  nav: () => (source.directory.runs.length > 1 ? "Compare" : null),
  show: async ({ query }) => {
    const compared = await source.get(null, "pairs", comparedRuns(query));
    return el("article", { class: "compare" },
      el("h1", {}, "Runs beside each other"),
      source.isLive && runsChoice(query),
      compared ? runsBeside(compared) : el("p", { class: "missing" }, "Choose two runs or more."));
  },
});

const MOST_COMPARED = 4; // without a choice

/** What is asked for: a file has one answer; a server those that were chosen, or all of a few. */
function comparedRuns(query) {
  if (!source.isLive) return {};
  const chosen = query.getAll("with");
  const few = source.directory.runs.slice(0, MOST_COMPARED).map(({ id }) => id);
  return { runs: JSON.stringify(chosen.length ? chosen : few) };
}

function runsChoice(query) {
  const chosen = JSON.parse(comparedRuns(query).runs);
  const boxes = source.directory.runs.map(({ id, name }) =>
    el("label", {}, el("input", { type: "checkbox", value: id, checked: chosen.includes(id) }), " ", el("bdi", {}, shownText(name))));
  const compare = (event) => {
    event.preventDefault();
    const ids = [...event.target.querySelectorAll("input:checked")].map((input) => ["with", input.value]);
    location.hash = `#/compare?${new URLSearchParams(ids)}`;
  };
  return el("form", { class: "row", onsubmit: compare }, boxes, el("button", {}, "Compare"));
}

function runsBeside({ runs, apart, headline, curves, settings, prompts }) {
  const ids = runs.map((run) => run.id);
  return [
    apart && el("p", { class: "problem" }, shownText(apart)),
    headline.length > 0 && el("ul", { class: "headline" }, headline.map((sentence) => el("li", {}, shownText(sentence)))),
    el("div", { class: "cards" }, runs.map(runCard)),
    el("div", { class: "curves" }, curves.map((curve) => curveCard(curve, { runs: ids }))),
    el("h2", {}, "Settings that differ"),
    settings.rows.length > 0 ? numbersTable(settings, { label: "Settings that differ" }) : el("p", { class: "missing" }, "None."),
    sharedPrompts("Held-out prompts", "of the last policy of each run that was evaluated", prompts.heldout, ids),
    sharedPrompts("Training prompts", "of the last round of each run that asked it", prompts.trained, ids),
  ];
}

function runCard({ id, state, facts }) {
  return el("section", { class: "card" },
    el("h2", {}, el("a", { href: href(["overview"], id) }, shownText(id)), " ", stateBadge(state)),
    el("dl", { class: "facts" }, facts.filter(([name]) => name !== "made by").map(([name, value]) => [el("dt", {}, name), el("dd", {}, shownText(value))])));
}

/** A row a prompt with every run's pass rate, which leads to its group where training asked it. */
function sharedPrompts(title, about, { num, learnt, lost, rows }, ids) {
  if (num === 0) return null;
  const shaped = rows.map(({ runs, ...row }) => ({ ...row, ...Object.fromEntries(ids.map((id, index) => [index, runs[id].rate])), runs }));
  const columns = [
    { key: "prompt", title: "prompt", node: ({ prompt }) => oneLine(prompt, 60) },
    { key: "question", title: "question", className: "wide", node: ({ question }) => el("span", { class: "question" }, oneLine(question ?? "", 160)) },
    ...ids.map((id, index) => ({ key: index, title: id, className: "num", node: (row) => rateLink(row, id) })),
    { key: "difference", title: `${ids.at(-1)} minus ${ids[0]}`, className: "num", node: (row) => besideLink(row, ids) },
  ];
  const some = rows.length < num ? `; the ${number(rows.length, 6)} that differ most` : "";
  return [
    el("h2", {}, title),
    el("p", { class: "about" }, `${number(num, 9)} prompts of all runs, with the share of right replies ${about}${some}. From ${ids[0]} to ${ids.at(-1)}, ${learnt} rose to 50 % or more, ${lost} fell below.`),
    plainTable(shaped, columns, { label: title }),
  ];
}

function rateLink({ prompt, runs }, id) {
  const { rate, round } = runs[id];
  return round === undefined ? percent(rate) : el("a", { href: href(["round", round, "prompt", prompt], id) }, percent(rate));
}

/** Both groups beside each other, where training asked the prompt. */
function besideLink({ prompt, runs, difference }, ids) {
  const [from, to] = [ids[0], ids.at(-1)];
  if (runs[from].round === undefined) return points(difference);
  return el("a", { href: href(["round", runs[from].round, "prompt", prompt], from, { with: runs[to].round, in: to }) }, points(difference));
}

function points(difference) {
  return `${difference > 0 ? "+" : ""}${(100 * difference).toFixed(1)}`;
}
