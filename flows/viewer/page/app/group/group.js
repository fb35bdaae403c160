// A group: the replies to one prompt in one round, alone or beside those of another round or run.

view("round/:round/prompt/:prompt", {
  title: ({ round, prompt }) => `Round ${round}, prompt ${prompt}`,
  show: showGroup,
  keys: {
    n: ["the next prompt of the round", () => press("n")],
    b: ["the prompt before it", () => press("b")],
    "]": ["this prompt in its next round", () => press("]")],
    "[": ["in the round before", () => press("[")],
    o: ["replies by outcome, or by sample again", toggleOutcome],
    j: ["the next reply; Enter opens it", () => stepReply(1)],
    k: ["the reply before it", () => stepReply(-1)],
  },
});

async function showGroup(place) {
  const { run, round, prompt } = place;
  const [group, asked] = await Promise.all([source.get(run, "group", { round, prompt }), roundsOf(run, prompt)]);
  if (!group) return mayHaveAsked(asked, round) ? leftOut(place) : noGroup(place, asked);
  const choices = readChoices(place.query);
  const body = el("div", {});
  const draw = async () => {
    keepAddress(href(groupPlace(group), run, choices));
    refill(body, await groupBody(run, group, choices));
  };
  refill(body, await groupBody(run, group, choices));
  return el("article", { class: "group" },
    el("h1", {}, "Prompt ", el("bdi", {}, shownText(prompt)), `, round ${round}`),
    groupWays(run, group, asked),
    groupFacts(group), messagesPanel(group.messages),
    el("h2", {}, "Replies"), groupControls(run, group, asked, choices, draw),
    body);
}

const groupPlace = ({ round, prompt_id }) => ["round", round, "prompt", prompt_id];

/** The rounds that asked a prompt, as rows of the table of prompts have them. */
async function roundsOf(run, prompt) {
  return (await source.get(run, "prompt_rounds", { prompt }))?.rounds ?? [];
}

/** Whether a round asked a prompt, as far as is known: the table of prompts of a file may be cut too. */
const mayHaveAsked = (asked, round) => asked.some(([number]) => String(number) === round) || (asked.length === 0 && !source.isLive && source.directory.left_out.length > 0);

function noGroup({ run, round, prompt }, asked) {
  return el("article", {},
    el("h1", {}, "No such group"),
    el("p", { class: "missing" }, `Round ${round} has no replies to prompt `, el("bdi", {}, shownText(prompt)), "."),
    source.directory.left_out.length > 0 && el("p", {}, "Not all can be read, or is here: the foot of this page says what."),
    asked.length > 0 && el("p", {}, "Rounds that did: ", asked.map(([number]) => [el("a", { href: href(["round", number, "prompt", prompt], run) }, `round ${number}`), " "])));
}

/** What the address says behind `?`: order and filter of the replies, the condition, and what stands beside. */
function readChoices(query) {
  const names = ["order", "only", "condition", "with", "in"];
  return Object.fromEntries(names.filter((name) => query.has(name)).map((name) => [name, query.get(name)]));
}

/** Ways to the prompts beside it, and to its other rounds. */
function groupWays(run, group, asked) {
  const way = (prompt, key, text) => prompt !== null && el("a", { href: href(["round", group.round, "prompt", prompt], run), "data-key": key }, text);
  const here = asked.findIndex(([round]) => round === group.round);
  const chips = asked.map((one, index) => el("a", {
    class: "chip", href: href(["round", one[0], "prompt", group.prompt_id], run),
    "aria-current": index === here ? "page" : null, "data-key": { [here - 1]: "[", [here + 1]: "]" }[index] ?? null,
  }, svg("svg", { class: "pass-strip", width: 8, height: 16, "aria-hidden": "true" }, passBar(one, 0, 8, 16)), ` round ${one[0]}: ${passWords(one)}`));
  return el("nav", { class: "row", "aria-label": "Other groups" },
    way(group.previous, "b", "← prompt before"), way(group.next, "n", "next prompt →"), el("span", { class: "row chips" }, chips));
}

function groupFacts(group) {
  const facts = [["answer", group.answer], ["dataset", group.dataset], ["verifier", group.verifier]].filter(([, value]) => value);
  return el("dl", { class: "row short-facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, longText(value, 400)))));
}

function messagesPanel(messages) {
  if (messages.length === 0) return el("p", { class: "missing" }, "The prompt's row is not there.");
  return el("section", { "aria-label": "The prompt" }, messageList(messages));
}

/** One group, or two beside each other. */
async function groupBody(run, group, choices) {
  if (choices.with === undefined) return groupColumn(run, group, choices);
  const other = choices.in ?? run;
  const beside = await source.get(other, "group", { round: choices.with, prompt: group.prompt_id });
  const heading = (name, round) => el("h2", {}, `Round ${round}`, source.directory.runs.length > 1 && [" of ", el("bdi", {}, shownText(runName(name)))]);
  return el("div", { class: "two-groups" },
    el("div", {}, heading(run, group.round), groupColumn(run, group, choices)),
    el("div", {}, heading(other, choices.with),
      beside ? groupColumn(other, beside, choices) : el("p", { class: "missing" }, "That group is not here: that round didn't ask the prompt, or the file was too small for it.")));
}

function runName(id) {
  return source.directory.runs.find((run) => run.id === id)?.name ?? id;
}

/** Outcomes in a line, what is missing, the graph and the cards. */
function groupColumn(run, group, choices) {
  const condition = group.conditions.find(({ condition }) => condition === (choices.condition ?? "")) ?? group.conditions[0];
  return [
    el("p", {}, outcomeLine(group)),
    missingLines(group, condition).map((line) => el("p", { class: "missing" }, line)),
    peerGraph(run, group, condition),
    replyCards(run, group, condition, choices),
  ];
}

function outcomeLine({ rollouts }) {
  const count = (name) => rollouts.filter((reply) => outcomeClass(outcomeOf(reply.verdict)) === name).length;
  const unjudged = count("unjudged");
  return `${count("success")} of ${rollouts.length - unjudged} judged replies succeed${unjudged ? `, ${unjudged} without a verdict` : ""}.`;
}

/** Stages that have not made anything of this group, and why. */
function missingLines({ rollouts }, { contexts, scores }) {
  if (rollouts.every(({ verdict }) => verdict === null)) return ["No verdicts: the run has not come so far, or their shard is damaged."];
  if (contexts.length === 0) return ["No contexts: the run has not come so far, or leaves this group out (generate.groups)."];
  return scores.length === 0 ? ["No scores: the run has not come so far, or has none under this condition."] : [];
}

function groupControls(run, group, asked, choices, draw) {
  const choice = (label, name, options, otherwise = "") => el("label", {}, `${label} `, el("select", {
    id: `choose-${name}`, "aria-label": label,
    onchange: ({ target }) => {
      choices[name] = target.value;
      if (target.value === otherwise) delete choices[name];
      draw();
    },
  }, options.map(([value, text]) => el("option", { value, selected: value === (choices[name] ?? otherwise) }, text))));
  const conditions = group.conditions.map(({ condition, variant }) => [condition, condition === "" ? `${variant ?? "none"} (trained on)` : condition]);
  return el("div", { class: "row controls" },
    choice("order", "order", Object.entries(REPLY_ORDERS).map(([name, [text]]) => [name, text]), "sample"),
    choice("replies", "only", Object.entries(REPLY_FILTERS)),
    conditions.length > 1 && choice("shown under", "condition", conditions),
    comparison(run, group, asked, choices, draw));
}

/** Selects of a round, and where there are several runs of a run, to stand beside. */
function comparison(run, group, asked, choices, draw) {
  const rounds = el("select", { "aria-label": "Round to stand beside", id: "choose-with", onchange: ({ target }) => {
    choices.with = target.value;
    if (target.value === "") delete choices.with;
    draw();
  } });
  const list = (some) => {
    const others = some.filter(([round]) => choices.in !== undefined || round !== group.round);
    const options = others.map((one) => [String(one[0]), `round ${one[0]}: ${passWords(one)}`]);
    const none = others.length ? "nothing" : "no other round asked it";
    refill(rounds, [["", none], ...options].map(([value, text]) => el("option", { value, selected: value === (choices.with ?? "") }, text)));
  };
  list(asked);
  if (choices.in !== undefined) roundsOf(choices.in, group.prompt_id).then(list);
  const runs = source.directory.runs.length > 1 && el("select", { "aria-label": "Run to stand beside", id: "choose-in", onchange: async ({ target }) => {
    choices.in = target.value;
    if (target.value === run) delete choices.in;
    delete choices.with;
    list(await roundsOf(target.value, group.prompt_id));
    draw();
  } }, source.directory.runs.map(({ id, name }) => el("option", { value: id, selected: id === (choices.in ?? run) }, id === run ? `${name} (this)` : name)));
  return el("span", {}, "beside: ", runs, " ", rounds);
}

function press(key) {
  document.querySelector(`main [data-key="${CSS.escape(key)}"]`)?.click();
}

function toggleOutcome() {
  const select = document.getElementById("choose-order");
  select.value = select.value === "outcome" ? "sample" : "outcome";
  select.dispatchEvent(new Event("change"));
}

/** The focus to the link of the next card, or of the one before. */
function stepReply(step) {
  const links = [...document.querySelectorAll(".reply-link")];
  const here = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, here < 0 ? 0 : here + step))]?.focus();
}
