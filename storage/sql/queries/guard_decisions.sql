-- What the guards measured, what they compared it with, and what a breach led to.
-- `round` is the policy's version.
-- param all boolean = false: also what was within its bound
SELECT run, round, guard, value, reference, reference_round, bound, breached, action, why
FROM guards
WHERE breached OR $all
ORDER BY run, round, guard
