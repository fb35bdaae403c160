-- Entropy and length of the replies, by round: a policy that collapses shows here first.
-- `entropy` is minus the mean log-probability of the sampled tokens, in nats a token. It estimates the entropy of what was
-- sampled from, temperature included, without bias where sampling isn't cut (`top_p`, `top_k`, `min_p`).
SELECT
    run, round, count(*) AS replies, avg(num_tokens) AS mean_tokens, max(num_tokens) AS max_tokens,
    count(*) FILTER (finish_reason = 'length') / count(*) AS cut_share,
    -sum(list_sum(behavior_logprobs)) / nullif(sum(num_tokens), 0) AS entropy
FROM rollouts
GROUP BY run, round
ORDER BY run, round
