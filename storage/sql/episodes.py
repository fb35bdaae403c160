"""The `episodes` view: one row a rollout, all stages joined; contexts and scores are those that the run trains on."""

JOINED = ("prompts", "verdicts", "contexts", "scores")
"""The tables that are joined to rollouts, each by keys which one of its rows has at most."""

EPISODES = """
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
LEFT JOIN prompts AS p ON p.run = r.run AND p.round = r.round AND p.prompt_id = r.prompt_id
LEFT JOIN verdicts AS v
    ON v.run = r.run AND v.round = r.round AND v.prompt_id = r.prompt_id AND v.sample = r.sample
LEFT JOIN contexts AS c
    ON c.run = r.run AND c.round = r.round AND c.prompt_id = r.prompt_id AND c.sample = r.sample
    AND c.condition = ''
LEFT JOIN scores AS s
    ON s.run = r.run AND s.round = r.round AND s.prompt_id = r.prompt_id AND s.sample = r.sample
    AND s.condition = ''
"""
