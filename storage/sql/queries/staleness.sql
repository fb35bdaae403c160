-- How many rounds old the policy was that sampled what a round trains on.
SELECT run, round, round - policy_version AS staleness, count(*) AS rollouts
FROM rollouts
GROUP BY ALL
ORDER BY run, round, staleness
