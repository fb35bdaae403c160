// The run: what was run, how it went and how it ended.

view("overview", {
  title: () => "Run",
  nav: "Run",
  show: async ({ run }) => {
    const [overview, rounds] = await Promise.all([source.get(run, "overview"), source.get(run, "rounds")]);
    return overviewPage(overview, rounds?.rounds.at(-1));
  },
});

function overviewPage({ title, state, headline, facts, notes, curves, guards, errors, settings, problems }, lastRound) {
  return el("article", { class: "overview" },
    el("h1", {}, el("bdi", {}, shownText(title)), " ", stateBadge(state)),
    headline.length > 0 && el("ul", { class: "headline" }, headline.map((sentence) => el("li", {}, shownText(sentence)))),
    lastRound !== undefined && waysOn(lastRound),
    notes.map((line) => el("p", {}, shownText(line))),
    problems.length > 0 && el("div", { class: "problem" },
      el("p", {}, "Not all of this run can be read; what stands here is of the rest:"),
      el("ul", {}, problems.map((line) => el("li", {}, shownText(line))))),
    errors.length > 0 && [el("h2", {}, "Last errors"), el("pre", { class: "panel" }, shownText(errors.join("\n")))],
    factsPanel(facts),
    el("div", { class: "curves" }, curves.map((curve) => curveCard(curve))),
    guards && guardsSection(guards),
    settings && settingsSection(settings));
}

/** What one asks next: why, and for instance. */
function waysOn(lastRound) {
  return el("nav", { class: "row ways", "aria-label": "Examples" }, "See why: ",
    el("a", { href: href(["example"]) }, "the reply over which teacher and student differ most"),
    el("a", { href: href(["prompts"], current.run, { filters: JSON.stringify({ flipped: true }) }) }, "prompts that flipped"),
    el("a", { href: href(["rollouts"], current.run, { round: lastRound }) }, `all replies of round ${lastRound}`));
}

function factsPanel(facts) {
  return el("dl", { class: "panel facts" }, facts.map(([name, value]) =>
    el("div", { class: value.length > 60 ? "broad" : null }, el("dt", {}, name), el("dd", {}, shownText(value)))));
}

const STATE_KINDS = { finished: "success", running: "success", stopped: "failure" };

function stateBadge({ kind, text }) {
  return el("span", { class: `badge ${STATE_KINDS[kind] ?? "faint"}` }, shownText(text));
}

function settingsSection({ changed, all }) {
  return [
    el("h2", {}, "Settings"),
    changed.rows.length > 0
      ? numbersTable(changed, { label: "Settings that differ from the defaults" })
      : el("p", { class: "missing" }, "All are the defaults."),
    el("details", {}, el("summary", {}, `all ${all.rows.length} settings`), numbersTable(all, { label: "All settings" })),
  ];
}

/** Open where a bound was breached. Its last column says in words what has no room on a phone. */
function guardsSection(guards) {
  const breaches = guards.rows.filter((row) => row.includes("breached")).length;
  const told = breaches === 0 ? "no bound was breached" : breaches === 1 ? "1 bound was breached" : `${breaches} bounds were breached`;
  return [
    el("h2", {}, "Guards"),
    el("details", { open: breaches > 0 }, el("summary", {}, `${guards.rows.length} asked, ${told}`), numbersTable(guards, { label: "Guards", wide: ["value", "reference", "bound", "action"] })),
  ];
}
