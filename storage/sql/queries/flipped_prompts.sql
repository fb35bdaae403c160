-- Prompts whose pass rate crossed a bound between two rounds that asked them.
-- param bound number = 0.5: solved is a pass rate of at least this
-- param limit integer = 50: at most so many
SELECT
    run, prompt_id, earlier AS from_round, round AS to_round, before AS pass_rate_before, pass_rate AS pass_rate_after,
    CASE WHEN pass_rate >= $bound THEN 'learnt' ELSE 'lost' END AS flip, prompt
FROM (
    SELECT
        *, lag(round) OVER asked AS earlier, lag(pass_rate) OVER asked AS before
    FROM groups WHERE pass_rate IS NOT NULL
    WINDOW asked AS (PARTITION BY run, prompt_id ORDER BY round)
)
WHERE (pass_rate >= $bound) <> (before >= $bound)
ORDER BY run, round, prompt_id
LIMIT $limit
