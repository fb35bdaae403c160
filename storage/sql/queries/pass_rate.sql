-- How often the student succeeds, by round.
-- `pass_rate` is of the rollouts that were judged; nulls are the others.
SELECT
    run, round, count(*) AS rollouts, count(*) FILTER (success IS NULL) AS nulls,
    count(*) FILTER (success) AS successes,
    count(*) FILTER (success) / nullif(count(success), 0) AS pass_rate, avg(reward) AS mean_reward
FROM verdicts
GROUP BY run, round
ORDER BY run, round
