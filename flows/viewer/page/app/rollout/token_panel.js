// What is known of one token, the list of those that matter most, and where in the reply they are.

/** The panel beside the tokens: it follows the one that is looked at. `readings`: of all contexts. */
function tokenPanel(reply, readings) {
  const head = el("p", { class: "token-head", role: "status" }); // it stays: what is new in it is read out
  const rest = el("div", {});
  reply.follow((position) => {
    refill(head, tokenHead(reply, position));
    refill(rest, tokenPlace(reply, position), tokenNumbers(reply, readings, position), tokenLoss(reply, position), distributions(reply, position));
  });
  return el("section", { class: "token-panel panel", "aria-label": "The token" }, head, rest);
}

/** The token, and what the teacher thinks of it. */
function tokenHead(reply, position) {
  const shift = reply.shiftAt(position);
  return [tokenName(tokenText(reply.rollout.token_ids[position], reply.words)), " ", el("span", { class: `opinion ${shade(shift)}` }, opinion(shift))];
}

function tokenPlace(reply, position) {
  const id = reply.rollout.token_ids[position];
  const { first, count, text } = reply.pieceAt(position);
  const part = count > 1 && [" · part ", position - first + 1, " of ", tokenName(text)];
  return el("p", { class: "faint" }, `token ${number(position + 1, 9)} of ${number(reply.length, 9)} · id ${id}`, part, reply.words.special.has(id) && " · special");
}

/** Log-probability and probability by each model. */
function tokenNumbers(reply, readings, position) {
  const { score } = reply;
  const others = readings.filter((reading) => reading.score && reading !== reply.reading);
  const rows = [
    score && ["teacher", score.teacher_logps[position]],
    score && ["student", score.student[position]],
    ["as sampled", reply.rollout.behaviour[position]],
    score?.reference && ["initial policy", score.reference[position]],
    ...others.map((reading) => [`teacher, ${contextName(reading)}`, reading.score.teacher_logps[position]]),
  ].filter(Boolean);
  return el("table", { class: "plain numbers" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, ""), el("th", { scope: "col", class: "num" }, "nats"), el("th", { scope: "col", class: "num" }, "probability"))),
    el("tbody", {}, rows.map(([name, logp]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "num" }, signed(logp)), el("td", { class: "num" }, probability(logp))))));
}

/** What the token carries of the reply's loss. */
function tokenLoss(reply, position) {
  if (!reply.losses) return null;
  return el("p", { class: "faint" }, `${percent(reply.shareAt(position))} of the reply's ${lossName(reply.score)}: ${number(reply.losses[position])} nats`);
}

const LOSS_NAMES = { divergence: "divergence", pull: "pull", likelihood: "minus log-likelihood" };

function lossName(score) {
  return LOSS_NAMES[score?.loss.kind] ?? "loss";
}

/** The likeliest tokens of teacher and student side by side. */
function distributions(reply, position) {
  const { top, no_top: why } = reply.reading ?? { top: null, no_top: "not scored" };
  if (!top) return el("p", { class: "missing" }, `No distributions: ${why}.`);
  const ids = top.ids[position];
  const [teacher, student] = [top.teacher[position], top.student?.[position] ?? null];
  const sampled = reply.rollout.token_ids[position];
  const rows = ids.map((id, place) => topRow(tokenText(id, reply.words), teacher[place], student?.[place] ?? null, id === sampled));
  if (!ids.includes(sampled)) rows.push(topRow(tokenText(sampled, reply.words), reply.score.teacher_logps[position], reply.score.student[position], true));
  const rest = (logps) => logps && Math.log(Math.max(1 - logps.reduce((sum, logp) => sum + (logp === null ? 0 : Math.exp(logp)), 0), 0));
  const restRow = ids.includes(sampled) && !student?.includes(null) && topRow(null, rest(teacher), rest(student), false);
  return el("div", {},
    el("table", { class: "plain top" },
      el("caption", {}, `The ${top.num} likeliest of each`),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "token"), el("th", { scope: "col" }, "teacher"), el("th", { scope: "col" }, "student"))),
      el("tbody", {}, rows, restRow)),
    why && el("p", { class: "missing" }, `${why}.`));
}

function topRow(text, teacher, student, isSampled) {
  return el("tr", { class: isSampled ? "sampled" : null },
    el("th", { scope: "row" }, text === null ? el("span", { class: "faint" }, "all others") : tokenName(text), isSampled && el("span", { class: "said" }, " said")),
    el("td", {}, bar(teacher, "teacher")), el("td", {}, bar(student, "student")));
}

/** A probability as a bar and in numbers. */
function bar(logp, whose) {
  if (logp === null || logp === undefined) return el("span", { class: "missing" }, "not kept");
  const share = `${(100 * Math.exp(logp)).toFixed(2)}%`;
  return el("div", { class: `likelihood ${whose}` }, el("span", { class: "fill", style: { "inline-size": share } }), el("span", { class: "num" }, shortPercent(logp)));
}

function shortPercent(logp) {
  const share = 100 * Math.exp(logp);
  return share >= 0.1 ? `${share.toFixed(1)} %` : share > 0 ? "< 0.1 %" : "0 %";
}

/** The tokens that carry most of the loss, to go to. */
function jumpList(reply, untrained) {
  const places = reply.jumps();
  const byLoss = reply.losses !== null;
  const title = byLoss ? (untrained ? "Where teacher and student differ most" : "Tokens that carry most of the loss") : "Where teacher and student differ most";
  const rows = places.map((position) => el("tr", {},
    el("th", { scope: "row" }, el("button", { type: "button", class: "jump", onclick: () => { reply.go(position); reply.list.focus({ preventScroll: true }); } }, tokenName(reply.pieceAt(position).text))),
    el("td", { class: "num" }, position + 1),
    el("td", { class: "num" }, signedNats(reply.shiftAt(position))),
    byLoss && el("td", { class: "num" }, nats(reply.losses[position])),
    byLoss && el("td", { class: "num" }, percent(reply.shareAt(position)))));
  const head = ["token", "position", "teacher − student", byLoss && lossName(reply.score), byLoss && "of all"].filter(Boolean);
  return el("section", { class: "jumps" },
    el("h2", {}, title),
    el("p", { class: "legend" }, lossAbout(reply.score, untrained)),
    places.length === 0 ? el("p", { class: "missing" }, "None: there is nothing to compare.") : el("div", { class: "table" }, el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, head.map((name, place) => el("th", { scope: "col", class: place ? "num" : null }, name)))),
      el("tbody", {}, rows))));
}

const LOSS_TEXTS = {
  divergence: "Divergence of student from teacher on the stored distributions, times the token's importance, in nats: the objective's own loss as the round began.",
  pull: "Importance times the distance of teacher and student, in nats: how strongly the token itself is pulled as the round begins.",
  likelihood: "Minus the student's log-probability, in nats: the objective's own loss as the round began.",
};

function lossAbout(score, untrained) {
  if (!score) return "";
  const text = LOSS_TEXTS[score.loss.kind] ?? `By the distance of their log-probabilities: a loss of each token can't be told, as ${score.loss.why_none}.`;
  return untrained ? `${text} It isn't trained on: ${untrained}.` : text;
}

/** Teacher minus student by position: bars up and down by their square roots, so that small ones are seen too; a click goes to a token. */
function shiftChart(reply) {
  const known = reply.shifts?.filter((shift) => shift !== null) ?? [];
  if (!known.length) return null;
  const most = Math.max(1, ...known.map(Math.abs));
  const bars = (sign) => reply.shifts.map((shift, position) => (shift !== null && shift * sign > 0 ? `M${position} 0V${(-sign * Math.sqrt(Math.abs(shift) / most)).toFixed(3)}h1V0z` : "")).join("");
  const mark = svg("rect", { class: "mark", y: -1, width: 1, height: 2 });
  const drawing = svg("svg", { viewBox: `0 -1 ${reply.length} 2`, preserveAspectRatio: "none", "aria-hidden": "true",
    onclick: (event) => { const box = drawing.getBoundingClientRect(); reply.go(Math.min(reply.length - 1, Math.floor(((event.clientX - box.left) / box.width) * reply.length))); } },
    mark, svg("path", { class: "up", d: bars(1) }), svg("path", { class: "down", d: bars(-1) }), svg("line", { x1: 0, x2: reply.length, y1: 0, y2: 0 }));
  reply.follow((position) => mark.setAttribute("x", position));
  return el("figure", { class: "shifts", role: "img", "aria-label": `Teacher minus student log-probability by position: from ${signed(Math.min(...known))} to ${signed(Math.max(...known))} nats` },
    el("figcaption", { class: "legend" }, "teacher − student by position, in nats, on a square-root scale"),
    el("span", { class: "legend scale" }, [most, 0, -most].map((shift) => el("span", {}, signed(shift, 2)))), drawing);
}

/** What the colours mean, in nats. */
function shadeLegend() {
  const samples = [...SHADES].reverse().map((least) => -least).concat(SHADES);
  const chips = samples.map((shift) => el("span", { class: `token ${shade(shift)}` }, signed(shift)));
  return el("p", { class: "legend shades" }, "to the teacher less likely ", chips.slice(0, SHADES.length), " ", chips.slice(SHADES.length), " likelier than to the student, from so many nats on");
}
