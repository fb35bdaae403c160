// Pass rates in small: a round of a prompt is [round, successes, judged, rollouts], as documents/prompts.py has it.

const passRate = ([, successes, judged]) => (judged ? successes / judged : null);

/** "6 of 8", "none judged", "2 of 3, 1 without a verdict". */
function passWords([, successes, judged, rollouts]) {
  if (!judged) return "none judged";
  return `${successes} of ${judged}${judged < rollouts ? `, ${rollouts - judged} without a verdict` : ""}`;
}

/** A bar a round, as high as the pass rate; where a round didn't ask, nothing; where nobody judged, a dashed outline. */
function passStrip(asked, rounds) {
  const step = Math.max(2, Math.min(12, Math.floor(132 / rounds.length)));
  const [width, height] = [rounds.length * step, 22];
  const place = new Map(rounds.map((round, index) => [round, index * step]));
  return svg("svg", { class: "pass-strip", role: "img", "aria-label": stripWords(asked), width, height, viewBox: `0 0 ${width} ${height}` },
    asked.map((one) => passBar(one, place.get(one[0]), step > 3 ? step - 1 : step, height)));
}

function passBar(one, x, width, height) {
  const rate = passRate(one);
  if (rate === null) return svg("rect", { class: "unjudged", x: x + 0.5, y: 0.5, width: Math.max(1, width - 1), height: height - 1 });
  const high = Math.max(1, rate * height);
  return [
    svg("rect", { class: "ground", x, y: 0, width, height }),
    svg("rect", { class: "solved", x, y: height - high, width, height: high }),
  ];
}

const MOST_WORDS = 12;

/** What a strip shows, in words; of many rounds the first, the last and the extremes. */
function stripWords(asked) {
  const words = (some) => some.map((one) => `round ${one[0]}: ${passWords(one)}`).join("; ");
  if (asked.length <= MOST_WORDS) return words(asked);
  const rates = asked.map(passRate).filter((rate) => rate !== null);
  const extremes = rates.length ? `; between ${percent(Math.min(...rates))} and ${percent(Math.max(...rates))}` : "";
  return `${words([asked[0], asked.at(-1)])}; ${asked.length} rounds asked it${extremes}`;
}

/** The share as a colour and its words beside: how full a cell of a map is. */
function passStyle(rate) {
  return { "--share": `${Math.round(100 * rate)}%` };
}
