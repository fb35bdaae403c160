-- Contexts that were cut for the budget, by round and condition.
-- `dropped` are the roles that were left out, or cut; `mean_tokens` is of all contexts.
SELECT
    run, round, condition, count(*) AS contexts, count(*) FILTER (truncated) AS cut,
    count(*) FILTER (truncated) / count(*) AS cut_share, avg(num_tokens) AS mean_tokens,
    list_sort(list_distinct(flatten(list(dropped)))) AS dropped
FROM contexts
GROUP BY run, round, condition
ORDER BY run, round, condition
