"""The `episodes` view: one row a rollout, all stages joined; contexts and scores are those that the run trains on."""

from __future__ import annotations

from storage.sql.columns import column_texts
from storage.sql.views.base import View

_SQL = """
SELECT
    r.run, r.round, r.prompt_id, r.sample, r.policy_version,
    -- the task
    p.dataset, p.split,
    [message.content FOR message IN p.messages IF message.role = 'user'][-1] AS prompt,
    p.answer, p.verifier,
    -- what the student said, and how it was judged
    r.text, r.finish_reason, r.num_tokens,
    v.reward, v.success, v.prediction, v.feedback, v.kind, v.error,
    -- what the teacher was shown
    c.variant, c.rendering, c.first_success, c.second_success, c.failure,
    c.peers, c.top_ups, c.has_sections, c.no_section_reason, c.dropped, c.truncated,
    c.num_tokens AS context_num_tokens, c.messages AS teacher_messages,
    -- what the teacher said
    s.teacher, s.teacher_version, s.distill, s.advantage, s.mean_teacher_logprob,
    -- token by token: lists of num_tokens entries, but for the prompt's
    r.prompt_token_ids, r.token_ids, r.behavior_logprobs, s.proximal_logprobs, s.teacher_logprobs,
    r.temperature, r.seed, p.metadata
FROM rollouts AS r
LEFT JOIN parts.prompts AS p ON p.run = r.run AND p.round = r.round AND p.prompt_id = r.prompt_id
LEFT JOIN parts.verdicts AS v
    ON v.run = r.run AND v.round = r.round AND v.prompt_id = r.prompt_id AND v.sample = r.sample
LEFT JOIN parts.contexts AS c
    ON c.run = r.run AND c.round = r.round AND c.prompt_id = r.prompt_id AND c.sample = r.sample
    AND c.condition = ''
LEFT JOIN parts.scores AS s
    ON s.run = r.run AND s.round = r.round AND s.prompt_id = r.prompt_id AND s.sample = r.sample
    AND s.condition = ''
"""

EPISODES = View(
    "episodes",
    "one row a rollout, all stages joined; contexts and scores are those that the run trains on",
    _SQL,
    {
        **column_texts("rollouts", "run round prompt_id sample policy_version"),
        **column_texts("prompts", "dataset split"),
        "prompt": "the last message of the user",
        **column_texts("prompts", "answer verifier"),
        **column_texts("rollouts", "text finish_reason num_tokens"),
        **column_texts("verdicts", "reward success prediction feedback kind error"),
        **column_texts("contexts", "variant rendering first_success second_success failure peers top_ups"),
        **column_texts("contexts", "has_sections no_section_reason dropped truncated"),
        "context_num_tokens": "tokens of the context",
        "teacher_messages": "the context as messages",
        **column_texts("scores", "teacher teacher_version distill advantage mean_teacher_logprob"),
        **column_texts("rollouts", "prompt_token_ids token_ids behavior_logprobs"),
        **column_texts("scores", "proximal_logprobs teacher_logprobs"),
        **column_texts("rollouts", "temperature seed"),
        **column_texts("prompts", "metadata"),
    },
)
