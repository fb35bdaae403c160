// One rollout through its teacher's eyes.

const MANY_TOKENS = 150; // more than fit on a phone beside what is known of one

let shownReply = null; // that keys move in

view("round/:round/prompt/:prompt/sample/:sample", {
  title: ({ round, prompt, sample }) => `Reply ${sample} to ${prompt}, round ${round}`,
  show: showRollout,
  keys: {
    j: ["next rollout", (place) => walkOn(place, "next")],
    k: ["previous rollout", (place) => walkOn(place, "previous")],
    o: ["another order of rollouts", (place) => turnQuery(place, "by", Object.keys(WALKS))],
    ArrowRight: ["next token", () => shownReply?.step(1)],
    ArrowLeft: ["previous token", () => shownReply?.step(-1)],
    m: ["next of the tokens that matter most", () => shownReply?.jump()],
    c: ["another context", (place) => turnQuery(place, "context", [...document.querySelectorAll("#context option")].map((option) => option.value))],
    w: ["white space", () => document.getElementById("white-space")?.click()],
    g: ["its group", ({ round, prompt }) => go(["round", round, "prompt", prompt])],
  },
});

async function showRollout({ run, round, prompt, sample, query }) {
  shownReply = null;
  const [rollout, words, walk] = await Promise.all([source.get(run, "rollout", { round, prompt, sample }), vocabularyOf(run), neighboursOf({ run, round, prompt, sample, query })]);
  if (!rollout) return leftOut({ run, round, prompt });
  const reading = rollout.readings.find((one) => one.condition === (query.get("context") ?? "")) ?? rollout.readings[0] ?? null;
  return el("article", { class: "rollout" },
    rolloutHead(rollout, { round, prompt, sample }),
    walkRow(walk, { round, prompt, sample, query }),
    verdictStrip(rollout, reading, walk),
    replySection(rollout, reading, words, query),
    el("h2", {}, "What the teacher was shown"),
    contextChoice(rollout, reading, { round, prompt, sample, query }),
    teacherContext(rollout, reading),
    el("h2", {}, "What the student was asked"),
    messageList(rollout.messages),
    el("h2", {}, "Where it comes from"),
    lineage(rollout, reading));
}

function rolloutHead(rollout, { round, prompt, sample }) {
  const question = rollout.messages.findLast((message) => message.role === "user")?.content;
  return el("div", {},
    el("h1", {}, `Reply ${sample} to `, el("a", { href: href(["round", round, "prompt", prompt]) }, el("bdi", {}, shownText(prompt))), ", ", el("a", { href: href(["rollouts"], current.run, { round }) }, `round ${round}`)),
    question && el("p", { class: "asked-first" }, oneLine(question, 300)));
}

/** The way to the rollouts before and after, in the order that the address names. */
function walkRow({ previous, next, number: which, total }, place) {
  const by = walkName(place.query);
  const step = (row, text, key) => (row
    ? el("a", { class: "step", href: placeWith(place, {}, row), rel: key === "j" ? "next" : "prev" }, text, " ", el("kbd", {}, key))
    : el("span", { class: "step faint", "aria-disabled": "true" }, text, " ", el("kbd", {}, key)));
  return el("nav", { class: "row walk", "aria-label": "Rollouts of the round" },
    step(previous, "← previous", "k"), step(next, "next →", "j"),
    el("label", {}, "by ", el("select", { id: "walk-by", onchange: (event) => { location.hash = placeWith(place, { by: event.target.value }); } },
      Object.entries(WALKS).map(([name, { title }]) => el("option", { value: name, selected: name === by }, title)))),
    el("span", { class: "faint" }, which === null ? `not one of ${number(total, 9)}` : `${number(which, 9)} of ${number(total, 9)}`));
}

/** The address of a place with another question behind it, or of another rollout of the round. */
function placeWith({ round, prompt, sample, query }, changes, row = { prompt_id: prompt, sample }) {
  const kept = Object.fromEntries(["by", "context"].map((name) => [name, changes[name] ?? query.get(name)]).filter(([, value]) => value !== null && value !== ""));
  return href(replyPlace({ round, ...row }, row.sample), current.run, kept);
}

async function walkOn(place, way) {
  const { [way]: row } = await neighboursOf(place);
  if (row) location.hash = placeWith(place, {}, row);
}

/** The next value of what an address asks for. */
function turnQuery(place, name, values) {
  const now = values.indexOf(place.query.get(name) ?? values[0]);
  if (values.length > 1) location.hash = placeWith(place, { [name]: values[(now + 1) % values.length] });
}

/** How it was judged, and what the teacher made of it, in a few numbers. */
function verdictStrip(rollout, reading, { turned, flip }) {
  const { verdict } = rollout;
  return el("section", { class: "panel verdict", "aria-label": "Verdict" },
    el("p", { class: "row" }, outcomeBadge(verdict.outcome, verdict.kind), verdict.error && el("span", { class: "problem" }, oneLine(verdict.error)),
      turned && el("span", { class: "badge" }, shownText(`verdict turned: ${turned}`)),
      flip && el("span", { class: "badge" }, `its prompt was ${flip} in this round`),
      el("span", { class: "faint" }, trainingText(reading))),
    el("dl", { class: "verdict-facts" }, verdictFacts(rollout, reading).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    el("p", {}, el("span", { class: "faint" }, "the teacher was shown "), shownPeers(rollout, reading)),
    verdict.feedback && el("details", {}, el("summary", {}, "feedback of the verifier"), longText(verdict.feedback)));
}

function verdictFacts(rollout, reading) {
  const { verdict, finish_reason: end } = rollout;
  const shifts = shiftsOf(reading?.score ?? null);
  return [
    ["reward", number(verdict.reward ?? null)],
    ["prediction", verdict.prediction ? oneLine(verdict.prediction, 60) : MISSING],
    ["right answer", rollout.answer ? oneLine(rollout.answer, 60) : MISSING],
    ["tokens", oneLine(`${number(rollout.token_ids.length, 9)}, ${end === "length" ? "cut at the limit" : end}`, 40)],
    ["advantage", signed(reading?.score?.advantage ?? null)],
    ["teacher − student", shifts ? `${signedNats(meanOf(shifts))} nats a token` : MISSING],
    ["disagreement", shifts ? `${nats(meanOf(magnitudes(shifts)))} nats a token` : MISSING],
  ];
}

function trainingText(reading) {
  if (!reading) return "no loss: not scored";
  return reading.untrained ? `no loss: ${reading.untrained}` : "trained on";
}

function shownPeers(rollout, reading) {
  const { context } = reading ?? {};
  if (!context) return "nothing yet: no context was made";
  if (!context.peers.length) return `the prompt alone: ${context.no_section_reason ?? "no peers"}`;
  return peersInLine(current.run, rollout, context.peers);
}

/** The reply, its tokens coloured, beside what is known of the one that is looked at. */
function replySection(rollout, reading, words, query) {
  if (rollout.token_ids.length === 0) return el("section", {}, el("h2", {}, "The reply"), el("p", { class: "missing" }, "It is empty: it has no tokens."));
  const reply = (shownReply = new Reply(rollout, reading, words, rememberToken));
  const asked = Number(query.get("token"));
  if (query.has("token") && asked >= 0 && asked < reply.length) reply.active = asked;
  reply.draw({});
  const unknown = Object.keys(words.texts).length === 0 && el("p", { class: "missing" }, "The model's tokenizer isn't at hand: tokens are shown by their ids. Its text: ", longText(rollout.text));
  return el("section", { class: reply.length > MANY_TOKENS ? "reading long" : "reading" },
    el("div", { class: "said-reply" },
      el("h2", {}, "The reply, token by token"),
      el("div", { class: "row" }, reply.score ? shadeLegend() : el("p", { class: "missing" }, "Not scored: the run has not come so far, or leaves this group out (generate.groups)."),
        el("label", { class: "legend" }, el("input", { type: "checkbox", id: "white-space", onchange: (event) => reply.draw({ marked: event.target.checked }) }), " white space")),
      reply.list, reply.rest, unknown,
      shiftChart(reply),
      jumpList(reply, reading?.untrained ?? null)),
    tokenPanel(reply, rollout.readings));
}

/** Keep the active token in the address, without a step back for each. */
function rememberToken(position) {
  const query = new URLSearchParams(current.place.query);
  query.set("token", position);
  keepAddress(`${location.hash.split("?")[0]}?${query}`);
}

/** Which of the rollout's contexts is looked at, and what the teacher thought in each. */
function contextChoice(rollout, reading, place) {
  if (rollout.readings.length < 2) return null;
  const rows = rollout.readings.map((one) => {
    const shifts = shiftsOf(one.score);
    const apart = meanOf(magnitudes(shifts));
    return el("tr", { class: one === reading ? "chosen" : null }, el("th", { scope: "row" }, one === reading ? [contextName(one), el("span", { class: "faint" }, " (shown)")] : el("a", { href: placeWith(place, { context: one.condition }) }, contextName(one))),
      el("td", {}, one.context ? oneLine(one.context.variant, 40) : MISSING), el("td", { class: "num" }, one.context ? one.context.peers.length : MISSING), el("td", { class: "num" }, signedNats(meanOf(shifts))), el("td", { class: "num" }, nats(apart)));
  });
  return el("div", {},
    el("p", { class: "row" }, el("label", {}, "context ", el("select", { id: "context", onchange: (event) => { location.hash = placeWith(place, { context: event.target.value }); } },
      rollout.readings.map((one) => el("option", { value: one.condition, selected: one === reading }, contextName(one)))))),
    el("div", { class: "table" }, el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, ["context", "peer policy"].map((name) => el("th", { scope: "col" }, name)), ["peers", "teacher − student", "disagreement"].map((name) => el("th", { scope: "col", class: "num" }, name)))),
      el("tbody", {}, rows))));
}

/** Which policy, seed and shards it comes from, and what to type to see more. */
function lineage(rollout, reading) {
  const { keys } = rollout;
  const condition = reading?.condition ?? "";
  const shards = ["prompts", "rollouts", "verdicts"].map((table) => [table, keys[table][""]]).concat(["contexts", "scores"].map((table) => [table, keys[table][condition]])).filter(([, key]) => key);
  const facts = [
    ["policy", `version ${rollout.policy_version}${rollout.policy_version === 0 ? ", the initial model" : ""}, at temperature ${number(rollout.temperature)}, seed ${rollout.seed}`],
    reading?.score && ["teacher", `${reading.score.teacher}, version ${reading.score.teacher_version}`],
    rollout.dataset && ["dataset", el("bdi", {}, shownText(rollout.dataset))],
    ["shown to", rollout.shown_to.length ? rollout.shown_to.map(({ sample, role }, place) => [place > 0 && ", ", el("a", { href: href(replyPlace(rollout, sample)) }, `reply ${sample}`), ` as ${roleName(role)}`]) : "nobody of its group"],
    ...shards.map(([table, key]) => [`shard of ${table}`, el("code", {}, key)]),
    ...rollout.commands.map((command) => [command.split(" ", 2).join(" "), copyable(command)]),
  ].filter(Boolean);
  return el("dl", { class: "facts" }, facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** A command line, and a button that copies it. */
function copyable(text) {
  const button = el("button", { type: "button", onclick: async () => { await navigator.clipboard.writeText(text); button.textContent = "copied"; } }, "copy");
  return el("span", { class: "row copyable" }, el("code", {}, shownText(text)), navigator.clipboard && button);
}
