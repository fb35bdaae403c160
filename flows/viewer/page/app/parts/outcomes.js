// How a reply was judged: in words, with a sign beside the colour.

const OUTCOME_MARKS = { success: "✓", failure: "✗", "no verdict": "?", "not judged": "·" };

/** The outcome that a verdict says; null: there is no verdict yet. */
function outcomeOf(verdict) {
  if (verdict === null) return "not judged";
  return { true: "success", false: "failure" }[verdict.success] ?? "no verdict";
}

/** The class that it has in the style. */
function outcomeClass(outcome) {
  return ["success", "failure"].includes(outcome) ? outcome : "unjudged";
}

/** `remark`: what more the verifier said. */
function outcomeBadge(outcome, remark = null) {
  return el("span", { class: `badge ${outcomeClass(outcome)}` }, `${OUTCOME_MARKS[outcome]} ${outcome}`, remark && [": ", oneLine(remark, 60)]);
}
