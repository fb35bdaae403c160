// The way from one rollout of a round to the next, in some order.

/** What is passed by and in which order, as a table's request has it: without an order by prompt and reply. */
const WALKS = {
  key: { title: "prompt and reply" },
  disagreement: { title: "largest disagreement", order: [["disagreement", "desc"]] },
  flip: { title: "what flipped", filters: { is_flipped: true } },
  success: { title: "successes", filters: { outcome: "success" } },
  failure: { title: "failures", filters: { outcome: "failure" } },
};
const NOBODY = { previous: null, next: null, number: null, total: 0, turned: null, flip: null };

/** Who comes before and after a rollout, which it is of how many (`number` is null where the walk passes it by), and what
 * flipped of it. */
async function neighboursOf({ run, round, prompt, sample, query }) {
  const { order = [], filters = {} } = WALKS[walkName(query)];
  return (await source.page(run, "neighbours", { order, filters }, { round, prompt, sample })) ?? NOBODY;
}

function walkName(query) {
  return query.get("by") in WALKS ? query.get("by") : "key";
}
