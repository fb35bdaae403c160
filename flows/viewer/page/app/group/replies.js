// The replies of a group, as cards beside each other.

const SHOWN_OF_REPLY = 600; // characters, before the fold

const REPLY_ORDERS = {
  sample: ["sample", (reply) => [reply.sample]],
  outcome: ["outcome", (reply) => [Object.keys(OUTCOME_MARKS).indexOf(outcomeOf(reply.verdict)), -(reply.verdict?.reward ?? 0), reply.sample]],
  teacher: ["teacher's liking", (reply, score) => [-(score?.gain ?? -Infinity), reply.sample]],
};

const REPLY_FILTERS = { "": "all", success: "successes", failure: "failures", unjudged: "without a verdict" };

/** The replies that are left, in order. `choices`: {order, only} of the address. */
function chosenReplies(group, condition, { order, only }) {
  const scores = new Map(condition.scores.map((score) => [score.sample, score]));
  const [, rank] = REPLY_ORDERS[order] ?? REPLY_ORDERS.sample;
  const kept = group.rollouts.filter((reply) => !only || outcomeClass(outcomeOf(reply.verdict)) === only);
  const ranks = new Map(kept.map((reply) => [reply, rank(reply, scores.get(reply.sample))]));
  return kept.sort((a, b) => firstDifference(ranks.get(a), ranks.get(b)));
}

function firstDifference(a, b) {
  const index = a.findIndex((value, place) => value !== b[place]);
  return index < 0 ? 0 : a[index] < b[index] ? -1 : 1;
}

function replyCards(run, group, condition, choices) {
  const replies = chosenReplies(group, condition, choices);
  if (replies.length === 0) return el("p", { class: "missing" }, "No reply of that kind.");
  return el("div", { class: "cards" }, replies.map((reply) => replyCard(run, group, condition, reply)));
}

function replyCard(run, group, condition, reply) {
  const of = (rows) => rows.find(({ sample }) => sample === reply.sample) ?? null;
  return el("section", { class: "card reply", "aria-label": `Reply ${reply.sample}` },
    el("header", { class: "row" },
      el("h3", {}, el("a", { class: "reply-link", href: href(replyPlace(group, reply.sample), run) }, `reply ${reply.sample}`)),
      outcomeBadge(outcomeOf(reply.verdict), reply.verdict?.success === false && reply.verdict.kind)),
    reply.text === "" ? el("p", { class: "missing" }, "The reply is empty.") : longText(reply.text, SHOWN_OF_REPLY),
    replyFacts(reply, of(condition.scores)),
    shownLine(run, group, of(condition.contexts)));
}

function replyFacts({ verdict, num_tokens: tokens, finish_reason: finish }, score) {
  const facts = [
    ["reward", verdict?.reward !== null && number(verdict?.reward)],
    ["prediction", verdict?.prediction && oneLine(verdict.prediction)],
    ["length", `${number(tokens, 9)} ${tokens === 1 ? "token" : "tokens"}, ${finish === "length" ? "cut at the limit" : finish}`],
    ["advantage", score && score.advantage !== null && signed(score.advantage)],
    ["teacher − student", score && score.gain !== null && `${signedNats(score.gain)} nats a token`],
    ["feedback", verdict?.feedback && longText(verdict.feedback, SHOWN_OF_REPLY)],
    ["no verdict", verdict?.error && longText(verdict.error, SHOWN_OF_REPLY)],
  ];
  return el("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** What its teacher was shown, in a line of links. */
function shownLine(run, group, context) {
  if (!context) return null;
  const why = context.no_section_reason ? `, ${context.no_section_reason}` : "";
  return el("p", { class: "shown" }, el("span", { class: "faint" }, "its teacher was shown: "),
    context.peers.length ? peersInLine(run, group, context.peers) : `the prompt alone${why}`,
    context.dropped.length > 0 && el("span", { class: "faint" }, `; dropped for the budget: ${context.dropped.map(roleName).join(", ")}`));
}
