-- Tokens that the teacher disliked most: those that it finds less likely than the student does.
-- `advantage` is teacher minus student log-probability, in nats.
-- param round integer = null: of which round; of all where null
-- param condition text = "": under which context; empty for what is trained on
-- param limit integer = 20: at most so many
SELECT
    run, round, prompt_id, sample, position, token_id, text, round(advantage::DOUBLE, 4) AS advantage,
    round(teacher_logprob::DOUBLE, 4) AS teacher_logprob, round(student_logprob::DOUBLE, 4) AS student_logprob
FROM tokens
WHERE condition = $condition AND advantage IS NOT NULL AND ($round IS NULL OR round = $round)
ORDER BY tokens.advantage, run, round, prompt_id, sample, position
LIMIT $limit
