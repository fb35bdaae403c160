"""What W&B keeps of a run that is offline: records in LevelDB's log format, which `wandb sync` reads."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

MAGIC, HEAD_BYTES = b":W&B", 7
BLOCK_BYTES = 32 * 1024
PART_HEAD = struct.Struct("<IHB")
"""Checksum, length and kind of a part of a record; no part crosses the end of a block."""
WHOLE, LAST = 1, 4


def read_records(file: Path) -> Iterator[Record]:
    content = file.read_bytes()
    assert content.startswith(MAGIC)
    at, data = HEAD_BYTES, b""
    while at + PART_HEAD.size <= len(content):
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < PART_HEAD.size:
            at += left
            continue
        _, length, kind = PART_HEAD.unpack_from(content, at)
        at += PART_HEAD.size
        data += content[at : at + length]
        at += length
        if kind in (WHOLE, LAST):
            yield Record.FromString(data)
            data = b""


def read_history(file: Path) -> list[dict[str, Any]]:
    """Rows by name, `_step` among them."""
    histories = [record.history for record in read_records(file) if record.WhichOneof("record_type") == "history"]
    return [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in history.item}
        for history in histories
    ]
