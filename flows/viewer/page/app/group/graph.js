// Who was shown to whom: replies in a ring, an arrow from each peer to the reply whose teacher was shown it.

/** The graph with its legend and table; null where nobody was shown anything. */
function peerGraph(run, group, condition) {
  const arrows = peerArrows(group, condition);
  if (arrows.length === 0) return null;
  const nodes = ringNodes(group, arrows);
  const roles = [...new Set(arrows.map(({ peer }) => peer.role))].sort(byFirst(Object.keys(ROLE_NAMES)));
  const line = el("p", { class: "map-line", role: "status" }, "Point at a reply, or go to it by Tab, to see its arrows alone.");
  return el("figure", { class: "peer-graph" },
    drawRing(run, nodes, arrows, roles, (text) => refill(line, shownText(text))),
    el("figcaption", {},
      el("p", { class: "legend" }, "Who was shown to whom: an arrow goes from a reply to the one whose teacher was shown it."),
      graphLegend(roles, nodes), line,
      el("details", {}, el("summary", {}, "As a table"), peerTable(run, group, condition))));
}

/** An order of names: that of a list. */
function byFirst(names) {
  return (a, b) => names.indexOf(a) - names.indexOf(b);
}

/** {from, to, peer}: nodes by their keys. A reply's own feedback leads nowhere. */
function peerArrows(group, condition) {
  return condition.contexts.flatMap(({ sample, peers }) =>
    peers.map((peer) => ({ from: nodeKey(group, peer), to: String(sample), peer })).filter(({ from, to }) => from !== to));
}

/** Replies of the group by their samples, others by where they are from. */
function nodeKey(group, peer) {
  const isOwn = peer.round === group.round && peer.prompt_id === group.prompt_id && peer.sample !== null;
  return isOwn ? String(peer.sample) : JSON.stringify([peer.round, peer.prompt_id, peer.sample]);
}

/** Nodes by their keys, with their places: the group's replies, successes first, then peers from elsewhere. */
function ringNodes(group, arrows) {
  const replies = chosenReplies(group, { scores: [] }, { order: "outcome", only: "" });
  const nodes = new Map(replies.map((reply) => [String(reply.sample), ownNode(group, reply)]));
  for (const { from, peer } of arrows) if (!nodes.has(from)) nodes.set(from, foreignNode(peer));
  const radius = Math.max(96, nodes.size * 7);
  [...nodes.values()].forEach((node, index) => {
    const angle = (2 * Math.PI * index) / nodes.size - Math.PI / 2;
    Object.assign(node, { x: radius * Math.cos(angle), y: radius * Math.sin(angle), radius });
  });
  return nodes;
}

function ownNode(group, reply) {
  const outcome = outcomeOf(reply.verdict);
  return { label: String(reply.sample), outcome, title: `reply ${reply.sample}, ${outcome}`, place: replyPlace(group, reply.sample), isForeign: false };
}

function foreignNode(peer) {
  if (!isReply(peer)) return { label: "S", outcome: outcomeOf(peer), title: roleName(peer.role), place: null, isForeign: true };
  const title = `reply ${peer.sample} of round ${peer.round}, prompt ${peer.prompt_id}`;
  return { label: String(peer.sample), outcome: outcomeOf(peer), title, place: replyPlace(peer, peer.sample), isForeign: true };
}

const NODE_SIZE = 14;

function drawRing(run, nodes, arrows, roles, say) {
  const half = [...nodes.values()][0].radius + NODE_SIZE + 14;
  const lines = arrows.map((arrow) => ({ ...arrow, node: peerArrow(nodes.get(arrow.from), nodes.get(arrow.to), arrow.peer.role, roles) }));
  const drawing = svg("svg", { class: "ring", viewBox: `${-half} ${-half} ${2 * half} ${2 * half}`, width: 2 * half, height: 2 * half, role: "group", "aria-label": "Replies, and who was shown to whom" });
  const light = (key) => {
    drawing.classList.toggle("lit", key !== null);
    for (const { from, to, node } of lines) node.classList.toggle("on", key === from || key === to);
    if (key !== null) say(nodeWords(key, nodes, arrows));
  };
  const marks = [...nodes].map(([key, node]) => ringNode(run, node, nodeWords(key, nodes, arrows), { enter: () => light(key), leave: () => light(null) }));
  return fill(drawing, {}, [lines.map(({ node }) => node), marks]);
}

/** A node, a link to its reply: successes are round, failures square, others dashed. */
function ringNode(run, { x, y, label, outcome, place, isForeign }, words, { enter, leave }) {
  const half = NODE_SIZE - 2;
  const shape = outcome === "failure"
    ? svg("rect", { x: x - half, y: y - half, width: 2 * half, height: 2 * half, rx: 2 })
    : svg("circle", { cx: x, cy: y, r: NODE_SIZE });
  return svg(place ? "a" : "g", {
    class: `node ${outcomeClass(outcome)}${isForeign ? " foreign" : ""}`, href: place && href(place, run), "aria-label": words,
    onpointerenter: enter, onpointerleave: leave, onfocusin: enter, onfocusout: leave,
  }, isForeign && svg("circle", { class: "outer", cx: x, cy: y, r: NODE_SIZE + 4 }), shape, svg("text", { x, y }, label), svg("text", { class: "mark", x: x + NODE_SIZE + 5, y: y - NODE_SIZE }, OUTCOME_MARKS[outcome]));
}

function nodeWords(key, nodes, arrows) {
  const told = (some, end) => some.map((arrow) => `${nodes.get(arrow[end]).title} as ${roleName(arrow.peer.role)}`).join("; ");
  const shown = arrows.filter(({ to }) => to === key);
  const shownTo = arrows.filter(({ from }) => from === key);
  return [
    nodes.get(key).title,
    shown.length > 0 && `its teacher was shown ${told(shown, "from")}`,
    shownTo.length > 0 && `shown to the teachers of ${told(shownTo, "to")}`,
  ].filter(Boolean).join(" · ");
}

/** A curve that bends towards the middle of the ring, with its head. */
function peerArrow(from, to, role, roles) {
  const bend = [(from.x + to.x) * 0.22, (from.y + to.y) * 0.22];
  const end = toward(to, bend, NODE_SIZE + 3);
  const angle = Math.atan2(end.y - bend[1], end.x - bend[0]);
  const wing = (turn) => `${end.x - 9 * Math.cos(angle + turn)},${end.y - 9 * Math.sin(angle + turn)}`;
  const start = toward(from, bend, NODE_SIZE);
  return svg("g", { class: `arrow role-${roles.indexOf(role) + 1}` },
    svg("path", { d: `M${start.x},${start.y}Q${bend[0]},${bend[1]} ${end.x},${end.y}` }),
    svg("polygon", { points: `${end.x},${end.y} ${wing(0.4)} ${wing(-0.4)}` }));
}

/** The point at a distance from a node's middle on the way to another point. */
function toward({ x, y }, [toX, toY], distance) {
  const length = Math.hypot(toX - x, toY - y) || 1;
  return { x: x + (distance * (toX - x)) / length, y: y + (distance * (toY - y)) / length };
}

function graphLegend(roles, nodes) {
  const line = (index) => svg("svg", { class: "ring", width: 30, height: 10, "aria-hidden": "true" }, svg("g", { class: `arrow role-${index + 1}` }, svg("path", { d: "M1,5L29,5" })));
  const outcomes = [["success", "✓ round: success"], ["failure", "✗ square: failure"], ["unjudged", "dashed: no verdict"]];
  const all = [...nodes.values()];
  return el("p", { class: "legend row" },
    roles.map((role, index) => el("span", {}, line(index), ` ${roleName(role)}`)),
    outcomes.filter(([name]) => all.some(({ outcome }) => outcomeClass(outcome) === name)).map(([, text]) => el("span", {}, text)),
    all.some(({ isForeign }) => isForeign) && el("span", {}, "double outline: of another prompt or round"));
}

function peerTable(run, group, condition) {
  const replies = new Map(group.rollouts.map((reply) => [reply.sample, reply]));
  const rows = condition.contexts.map((context) => el("tr", {},
    el("td", {}, el("a", { href: href(replyPlace(group, context.sample), run) }, `reply ${context.sample}`)),
    el("td", {}, replies.has(context.sample) ? outcomeOf(replies.get(context.sample).verdict) : MISSING),
    el("td", {}, context.peers.length ? peersInLine(run, group, context.peers) : context.no_section_reason ?? "nothing")));
  const head = ["reply", "verdict", "its teacher was shown"].map((title) => el("th", { scope: "col" }, title));
  return el("table", { class: "plain" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}
