-- Prompts that no rollout of their group solved: nobody has a peer to learn from.
-- param round integer = null: of which round; of all where null
-- param limit integer = 50: at most so many
SELECT run, round, prompt_id, dataset, num_rollouts, num_null, mean_tokens, num_cut, prompt
FROM groups
WHERE kind = 'none' AND ($round IS NULL OR round = $round)
ORDER BY run, round, prompt_id
LIMIT $limit
