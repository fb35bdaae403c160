// An example to begin with: of the last round, the reply over whose tokens teacher and student differ most.

view("example", { title: () => "An example", show: showExample });

async function showExample({ run }) {
  const round = (await source.get(run, "rounds"))?.rounds.at(-1);
  if (round === undefined) return messagePage("There are no rollouts yet.", "missing");
  const { rows: [row] } = await source.page(run, "rollouts", { start: 0, length: 1, order: [["disagreement", "desc"]] }, { round });
  if (!row) return messagePage("The last round is not here.", "missing");
  if (row.disagreement === null) return messagePage("No reply of the last round is scored.", "missing");
  location.replace(href(replyPlace({ round, ...row }, row.sample), run, { by: "disagreement" }));
  return el("article", {}, el("h1", {}, "An example"));
}
