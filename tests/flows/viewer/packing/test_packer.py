"""Promises: what is packed together is found again by its keys; what doesn't fit is left out whole."""

from __future__ import annotations

import base64
import gzip
import json
import math
import random
from typing import Any

from flows.viewer.packing.packer import BLOCK_BYTES, Packer


def unpacked(packer: Packer, number: int) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(packer.blocks[number])))


def noise(length: int, seed: object = 0) -> str:
    """Text that nothing makes shorter than so many bytes."""
    return base64.b64encode(random.Random(str(seed)).randbytes(length)).decode()


def test_groups_lie_together_until_a_block_is_full() -> None:
    packer = Packer(max_bytes=1e9)
    packer.add("run/overview", {"title": "run"})
    for prompt in "abc":
        packer.add_group(f"run/0/{prompt}", {f"run/group/0/{prompt}": prompt, f"run/rollout/0/{prompt}/1": [1]})
    packer.flush()
    assert packer.places == {"run/overview": 0, "run/0/a": 1, "run/0/b": 1, "run/0/c": 1}
    assert unpacked(packer, 0) == {"run/overview": {"title": "run"}}
    assert unpacked(packer, 1)["run/rollout/0/b/1"] == [1]
    packer.add_group("run/0/d", {"run/group/0/d": "x" * BLOCK_BYTES})
    assert packer.places["run/0/d"] == 2  # full: it waits for nobody


def test_what_does_not_fit_is_left_out_and_what_must_be_there_is_not() -> None:
    packer = Packer(max_bytes=500)
    packer.add_group("run/0/a", {"run/group/0/a": "short"})
    packer.flush()
    packer.add_group("run/0/b", {"run/group/0/b": noise(1000)})
    packer.flush()
    assert packer.is_full and list(packer.places) == ["run/0/a"]
    packer.add("run/rollouts", noise(1000))
    assert "run/rollouts" in packer.places and packer.size > 500


def test_numbers_that_are_none_are_null_and_any_text_is_ascii() -> None:
    packer = Packer(max_bytes=0)
    document = {"numbers": [1.5, math.nan, -math.inf], "text": "\ud800 \u2028 </script><!-- \0 é"}
    packer.add("run/x", document)
    assert unpacked(packer, 0)["run/x"] == {**document, "numbers": [1.5, None, None]}
    (directory, *_) = packer.scripts({"left_out": ["</script><!-- é"]})
    assert directory.isascii() and directory.count("<") == 2
    assert json.loads(directory.partition(">")[2].rpartition("<")[0])["left_out"] == ["</script><!-- é"]
