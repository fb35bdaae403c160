-- What the peers that were shown most did to those that were shown them.
-- `gain` is how much likelier the teacher, who sees the peer, finds a reply than the student does: a mean over its tokens, in
-- nats, then over the replies; of successes, and of failures. A useful peer lifts the first above the second.
-- param round integer = null: of which round; of all where null
-- param limit integer = 20: at most so many
WITH shown AS (
    SELECT
        c.run, c.round, c.prompt_id, c.sample, peer.round AS peer_round, peer.prompt_id AS peer_prompt_id,
        peer.sample AS peer_sample, peer.role AS role, peer.success AS peer_success
    FROM (
        SELECT run, round, prompt_id, sample, unnest(peers) AS peer
        FROM contexts WHERE condition = '' AND ($round IS NULL OR round = $round)
    ) AS c
), gains AS (
    SELECT
        run, round, prompt_id, sample, mean_teacher_logprob - list_avg(proximal_logprobs) AS gain
    FROM scores WHERE condition = '' AND ($round IS NULL OR round = $round)
)
SELECT
    s.run, s.round, s.peer_prompt_id, s.peer_round, s.peer_sample, s.peer_success,
    list_sort(list(DISTINCT s.role)) AS roles, count(DISTINCT (s.prompt_id, s.sample)) AS shown_to,
    avg(g.gain) FILTER (v.success) AS gain_of_successes, avg(g.gain) FILTER (NOT v.success) AS gain_of_failures
FROM shown AS s
LEFT JOIN gains AS g ON g.run = s.run AND g.round = s.round AND g.prompt_id = s.prompt_id AND g.sample = s.sample
LEFT JOIN verdicts AS v ON v.run = s.run AND v.round = s.round AND v.prompt_id = s.prompt_id AND v.sample = s.sample
GROUP BY s.run, s.round, s.peer_prompt_id, s.peer_round, s.peer_sample, s.peer_success
ORDER BY shown_to DESC, s.run, s.round, s.peer_prompt_id, s.peer_round, s.peer_sample
LIMIT $limit
