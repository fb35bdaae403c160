-- Whether the teacher's scores agree with the verdicts: means over prompts with both outcomes, by round and condition.
-- 0.5 is chance. `gain_auc` is of teacher minus student, `length_auc` of shortness alone.
SELECT
    run, round, condition, variant, count(success_auc) AS prompts, avg(success_auc) AS success_auc,
    avg(pairwise_accuracy) AS pairwise_accuracy, avg(gain_auc) AS gain_auc, avg(length_auc) AS length_auc
FROM signals
WHERE population = 'all'
GROUP BY run, round, condition, variant
ORDER BY run, round, condition, variant
