-- Shards whose jobs took longest, beside the median of their stage in all rounds.
-- param stage text = null: of which stage (generate, verify, …); of all where null
-- param limit integer = 20: at most so many
SELECT
    run, stage, round, shard, name, round(seconds, 2) AS seconds,
    round(seconds / median(seconds) OVER (PARTITION BY run, stage), 2) AS times_median,
    rows, tokens, round(tokens / nullif(seconds, 0)) AS tokens_per_second, host, replica, attempts
FROM shards
WHERE current AND seconds IS NOT NULL AND ($stage IS NULL OR stage = $stage)
ORDER BY shards.seconds DESC, run, stage, round, shard
LIMIT $limit
