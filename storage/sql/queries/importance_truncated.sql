-- Ratios of the trained policy to the one that sampled, and the share of tokens whose ratio was truncated, by round.
-- Means and shares are over tokens. Null where `train.importance` is `none`.
SELECT
    run, round, count(*) AS steps, sum(tokens)::BIGINT AS tokens,
    sum(importance_mean * tokens) / sum(tokens) FILTER (importance_mean IS NOT NULL) AS mean_ratio,
    max(importance_max) AS max_ratio,
    sum(importance_clipped * tokens) / sum(tokens) FILTER (importance_clipped IS NOT NULL) AS truncated_share
FROM updates
GROUP BY run, round
ORDER BY run, round
