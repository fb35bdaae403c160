"""What a manifest says of how its shard was made: equal where the settings of its stage are."""

from __future__ import annotations

from dataclasses import replace

from flows.plan.provenance import provenance
from flows.plan.stage import STAGES
from tests.flows.plan.test_plan import plan_of


def test_settings_of_a_stage_hash_to_one_digest_in_all_rounds_and_to_another_when_they_change() -> None:
    shards = [part.rollouts[0] for part in plan_of().rounds]
    assert {provenance(shard)["settings_digest"] for shard in shards} == {provenance(shards[0])["settings_digest"]}
    (hotter,) = {
        provenance(part.rollouts[0])["settings_digest"] for part in plan_of({"generate.temperature": 0.5}).rounds
    }
    (free,) = {provenance(part.rollouts[0])["settings_digest"] for part in plan_of({"shard_retries": 9}).rounds}
    assert hotter != provenance(shards[0])["settings_digest"] == free


def test_version_and_attempt_stand_beside_it() -> None:
    shard = replace(plan_of().rounds[0].verdicts[0], attempt=3)
    assert provenance(shard).keys() == {"stage_version", "settings_digest", "attempts"}
    assert (provenance(shard)["stage_version"], provenance(shard)["attempts"]) == (STAGES["verdicts"].version, 3)
