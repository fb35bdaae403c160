-- Two runs side by side, by round: pass rate, length, loss, and held-out success of the policy that the round began with.
-- Asked over several runs, by --all.
-- param a run: one of them, by its name in the column `run`
-- param b run: the other
WITH judged AS (
    SELECT run, round, count(*) FILTER (success) / nullif(count(success), 0) AS pass_rate
    FROM verdicts WHERE run IN ($a, $b) GROUP BY run, round
), said AS (
    SELECT run, round, avg(num_tokens) AS tokens FROM rollouts WHERE run IN ($a, $b) GROUP BY run, round
), trained AS (
    SELECT run, round, avg(loss) AS loss FROM updates WHERE run IN ($a, $b) GROUP BY run, round
), heldout AS (
    SELECT run, round, count(*) FILTER (success) / nullif(count(success), 0) AS heldout
    FROM evaluations WHERE model = '' AND run IN ($a, $b) GROUP BY run, round
)
SELECT
    round,
    max(pass_rate) FILTER (run = $a) AS pass_rate_a, max(pass_rate) FILTER (run = $b) AS pass_rate_b,
    max(tokens) FILTER (run = $a) AS tokens_a, max(tokens) FILTER (run = $b) AS tokens_b,
    max(loss) FILTER (run = $a) AS loss_a, max(loss) FILTER (run = $b) AS loss_b,
    max(heldout) FILTER (run = $a) AS heldout_a, max(heldout) FILTER (run = $b) AS heldout_b
FROM judged FULL JOIN said USING (run, round) FULL JOIN trained USING (run, round) FULL JOIN heldout USING (run, round)
GROUP BY round
ORDER BY round
