"""The `tokens` view: one row a token of a reply, with what each model said of it and whether it is trained on.

Scores are read as they lie, without a join of long lists: they repeat the ids of their rollouts. Of rollouts without
scores there are the rows that sampling left.
"""

from __future__ import annotations

from storage.sql.columns import column_texts
from storage.sql.views.base import View

_SQL = """
WITH training AS (
    SELECT
        run, first_round, last_round,
        max(value) FILTER (name = 'train.objective.kind') AS objective,
        max(value) FILTER (name = 'train.objective.policy_gradient_weight')::DOUBLE AS blend,
        max(value) FILTER (name = 'train.objective.kl_weight')::DOUBLE AS kl_weight,
        max(value) FILTER (name = 'train.mask_truncated') = 'true' AS mask_truncated
    FROM settings GROUP BY run, first_round, last_round
), rewarded AS (
    SELECT run, round, prompt_id, min(reward) < max(reward) AS is_unlike
    FROM parts.verdicts GROUP BY run, round, prompt_id
), reasons AS (
    SELECT
        s.run, s.round, s.prompt_id, s.sample, s.condition, s.token_ids,
        s.behavior_logprobs, s.proximal_logprobs, s.teacher_logprobs, s.reference_logprobs, s.advantage,
        CASE
            WHEN s.condition <> '' THEN 'other context'
            WHEN t.mask_truncated AND r.finish_reason = 'length' THEN 'cut'
            WHEN t.objective = 'distill' THEN CASE
                WHEN (s.distill AND t.blend < 1) OR (s.advantage <> 0 AND t.blend > 0) THEN NULL
                WHEN NOT s.distill THEN 'no peers shown'
                WHEN s.advantage IS NULL THEN 'no reward'
                ELSE 'no advantage'
            END
            WHEN t.objective = 'grpo' THEN CASE
                WHEN s.advantage IS NULL THEN 'no reward'
                WHEN s.advantage = 0 AND t.kl_weight = 0 THEN 'no advantage'
            END
            WHEN t.objective IN ('dpo', 'simpo') THEN CASE
                WHEN v.reward IS NULL THEN 'no reward'
                WHEN NOT g.is_unlike THEN 'no pair'
            END
            WHEN t.objective = 'sft' AND v.success IS NOT TRUE THEN 'no success'
        END AS reason
    FROM scores AS s
    LEFT JOIN training AS t ON t.run = s.run AND s.round BETWEEN t.first_round AND t.last_round
    LEFT JOIN parts.rollouts AS r
        ON r.run = s.run AND r.round = s.round AND r.prompt_id = s.prompt_id AND r.sample = s.sample
    LEFT JOIN parts.verdicts AS v
        ON v.run = s.run AND v.round = s.round AND v.prompt_id = s.prompt_id AND v.sample = s.sample
    LEFT JOIN rewarded AS g ON g.run = s.run AND g.round = s.round AND g.prompt_id = s.prompt_id
    UNION ALL
    SELECT
        run, round, prompt_id, sample, '', token_ids, behavior_logprobs, NULL, NULL, NULL, NULL, 'not scored'
    FROM rollouts AS r
    WHERE NOT EXISTS (
        FROM scores AS s
        WHERE s.run = r.run AND s.round = r.round AND s.prompt_id = r.prompt_id AND s.sample = r.sample
        AND s.condition = ''
    )
), listed AS (
    SELECT
        run, round, prompt_id, sample, condition,
        generate_subscripts(token_ids, 1) - 1 AS position, unnest(token_ids) AS token_id,
        unnest(proximal_logprobs) AS student_logprob, unnest(teacher_logprobs) AS teacher_logprob,
        unnest(behavior_logprobs) AS behavior_logprob, unnest(reference_logprobs) AS reference_logprob,
        reason, advantage
    FROM reasons
)
SELECT
    k.run, k.round, k.prompt_id, k.sample, k.condition, k.position, k.token_id, w.text,
    k.student_logprob, k.teacher_logprob, k.behavior_logprob, k.reference_logprob,
    k.teacher_logprob - k.student_logprob AS advantage, k.advantage AS sequence_advantage,
    k.reason IS NULL AS trained, k.reason AS untrained_reason
FROM listed AS k
LEFT JOIN parts.vocabulary AS w ON w.run = k.run AND w.token_id = k.token_id
"""

TOKENS = View(
    "tokens",
    "one row a token of a reply, under each context that it was scored in; `condition = ''` is what is trained on",
    _SQL,
    {
        **column_texts("rollouts", "run round prompt_id sample"),
        **column_texts("scores", "condition"),
        "position": "of the token in the reply, from 0 on",
        "token_id": "what was sampled",
        "text": "of that id alone, by the tokenizer of the run's model: parts of a character are U+FFFD; null where "
        "the model isn't at hand, and in `catalog.sql`",
        "student_logprob": "log-probability by the policy at the start of the round",
        "teacher_logprob": "log-probability by the teacher, who was shown the context",
        "behavior_logprob": "log-probability as it was sampled",
        "reference_logprob": "log-probability by the initial policy; null where the objective doesn't ask for it",
        "advantage": "`teacher_logprob` minus `student_logprob`: what the teacher thinks of the token",
        "sequence_advantage": "`advantage` of `scores`: the reply's reward beside its group's",
        "trained": "whether the objective of its round gives the token a loss of its own",
        "untrained_reason": "why it doesn't: `other context`, `not scored`, `cut`, `no peers shown`, `no reward`, "
        "`no advantage`, `no pair`, `no success`; null where it does",
    },
)
