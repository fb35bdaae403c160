// What the teacher was shown: messages by role, and in them whose reply each part is.

/** The name of a context, the run's own or another one's. */
function contextName(reading) {
  return reading.condition === "" ? "the run's own" : reading.condition;
}

/** A peer in a line: role, whose, how it was judged, and what is particular. */
function peerLine(peer, rollout) {
  const remarks = [...peerRemarks(peer), `${number(peer.tokens, 9)} tokens`];
  return [peerWords(current.run, rollout, peer), " ", peer.success !== null && outcomeBadge(outcomeOf(peer)), " ", el("span", { class: "faint" }, remarks.join(", "))];
}

/** The section about one reading's context. */
function teacherContext(rollout, reading) {
  const { context } = reading ?? {};
  if (!context) return el("p", { class: "missing" }, "No context: the run has not come so far, or leaves this group out (generate.groups).");
  const isLocated = context.spans.length === context.peers.length;
  return el("div", {},
    el("p", {}, el("span", { class: "faint" }, "peer policy "), oneLine(context.variant, 40), el("span", { class: "faint" }, ", shown as "), context.rendering, el("span", { class: "faint" }, `, ${number(context.num_tokens, 9)} tokens`)),
    context.peers.length === 0 ? el("p", { class: "missing" }, `The prompt alone: ${context.no_section_reason ?? "no peers"}.`) : el("ul", { class: "peers" }, context.peers.map((peer) => el("li", {}, peerLine(peer, rollout)))),
    context.dropped.length > 0 && el("p", { class: "missing" }, `Dropped for the budget (condition.max_context_tokens): ${context.dropped.map(roleName).join(", ")}.`),
    !isLocated && el("p", { class: "missing" }, "Not every peer is marked in the text: a heading is spelled out in it, so it isn't certain where one ends."),
    messageList(context.messages, context.spans, (span) => el("div", { class: "row" }, peerLine(context.peers[span.peer], rollout)), context.peers));
}

/** Messages with their roles; parts that are a peer's are set apart, under a line that says whose. */
function messageList(messages, spans = [], head = null, peers = []) {
  return el("ol", { class: "turns" }, messages.map((message, place) => el("li", { class: `turn ${message.role}` },
    el("div", { class: "turn-role" }, message.role),
    messageParts(message.content, spans.filter((span) => span.message === place)).map(([text, span]) => (span
      ? el("div", { class: `peer ${outcomeClass(outcomeOf(peers[span.peer]))}` }, head(span), longText(text))
      : text.trim() && longText(text.replace(/^\n+|\n+$/g, "")))))));
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
