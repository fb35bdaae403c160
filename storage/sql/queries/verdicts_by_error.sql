-- What rollouts failed by, by round and verifier: kinds of failure, and errors of the verifier, which give no verdict.
-- Errors count by their first line.
SELECT
    run, round, verifier, kind, error, count(*) AS rollouts,
    count(*) / sum(count(*)) OVER (PARTITION BY run, round) AS share_of_failures
FROM (
    SELECT v.run, v.round, p.verifier, v.kind, split_part(v.error, chr(10), 1) AS error
    FROM verdicts AS v
    LEFT JOIN prompts AS p ON p.run = v.run AND p.round = v.round AND p.prompt_id = v.prompt_id
    WHERE v.success IS NOT TRUE
)
GROUP BY run, round, verifier, kind, error
ORDER BY run, round, rollouts DESC, verifier, kind, error
