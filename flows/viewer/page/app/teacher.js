// What the teacher was shown: messages by role, and in them whose reply each part is.

const ROLE_NAMES = {
  reference: "the task's own solution", first_success: "a correct reply", second_success: "another correct reply",
  third_success: "another correct reply", summary: "a summary", failure: "a wrong reply", peer: "a reply, outcome not told",
  unrelated: "a correct reply to another question", feedback: "the verifier's feedback on this reply",
};

/** The name of a context, the run's own or another one's. */
function contextName(reading) {
  return reading.condition === "" ? "the run's own" : reading.condition;
}

/** Whose reply a peer is, as a way there; plain words for what nobody sampled. */
function peerReplyLink(peer, { round, prompt_id: prompt }) {
  if (peer.sample === null || peer.role === "feedback") return el("span", {}, ROLE_NAMES[peer.role]);
  const elsewhere = [peer.prompt_id !== prompt && ["of ", el("bdi", {}, shownText(peer.prompt_id))], peer.round !== round && `of round ${peer.round}`].filter(Boolean);
  return el("a", { href: href(["round", peer.round, "prompt", peer.prompt_id, "sample", peer.sample]) }, `sample ${peer.sample}`, elsewhere.map((part) => [" ", part]));
}

/** A peer in a line: role, whose, how it was judged, and what is particular. */
function peerLine(peer, rollout) {
  const remarks = [peer.fallback && "an excerpt, for want of a summary", peer.cut && "cut to fit", `${number(peer.tokens, 9)} tokens`].filter(Boolean);
  return [peer.role !== "feedback" && peer.sample !== null && [ROLE_NAMES[peer.role], ": "], peerReplyLink(peer, rollout), " ", successBadge(peer.success), " ", el("span", { class: "faint" }, remarks.join(", "))];
}

function successBadge(success) {
  if (success === null || success === undefined) return null;
  return el("span", { class: `badge ${success ? "success" : "failure"}` }, success ? "success" : "failure");
}

/** The section about one reading's context. */
function teacherContext(rollout, reading) {
  const { context } = reading ?? {};
  if (!context) return el("p", { class: "missing" }, "No context: the run has not come so far, or leaves this group out (generate.groups).");
  const isLocated = context.spans.length === context.peers.length;
  return el("div", {},
    el("p", {}, el("span", { class: "faint" }, "peer policy "), oneLine(context.variant, 40), el("span", { class: "faint" }, ", shown as "), context.rendering, el("span", { class: "faint" }, `, ${number(context.num_tokens, 9)} tokens`)),
    context.peers.length === 0 ? el("p", { class: "missing" }, `The prompt alone: ${context.no_section_reason ?? "no peers"}.`) : el("ul", { class: "peers" }, context.peers.map((peer) => el("li", {}, peerLine(peer, rollout)))),
    context.dropped.length > 0 && el("p", { class: "missing" }, `Dropped for the budget (condition.max_context_tokens): ${context.dropped.map((role) => ROLE_NAMES[role] ?? role).join(", ")}.`),
    !isLocated && el("p", { class: "missing" }, "Not every peer is marked in the text: a heading is spelled out in it, so it isn't certain where one ends."),
    messageList(context.messages, context.spans, (span) => el("div", { class: "row" }, peerLine(context.peers[span.peer], rollout)), context.peers));
}

/** Messages with their roles; parts that are a peer's are set apart, under a line that says whose. */
function messageList(messages, spans = [], head = null, peers = []) {
  return el("ol", { class: "turns" }, messages.map((message, place) => el("li", { class: `turn ${message.role}` },
    el("div", { class: "turn-role" }, message.role),
    messageParts(message.content, spans.filter((span) => span.message === place)).map(([text, span]) => (span
      ? el("div", { class: `peer ${successClass(peers[span.peer].success)}` }, head(span), longText(text))
      : text.trim() && longText(text.replace(/^\n+|\n+$/g, "")))))));
}

function successClass(success) {
  return success === null || success === undefined ? "" : success ? "success" : "failure";
}

function outcomeClass(outcome) {
  return ["success", "failure"].includes(outcome) ? outcome : "faint";
}

/** [text, span or null] in order. Python counts characters, a script's strings have two units for some. */
function messageParts(content, spans) {
  const characters = spans.length ? [...content] : [content];
  const parts = [];
  let end = 0;
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    parts.push([characters.slice(end, span.start).join(""), null], [characters.slice(span.start, span.end).join(""), span]);
    end = span.end;
  }
  return [...parts, [characters.slice(end).join(""), null]];
}
