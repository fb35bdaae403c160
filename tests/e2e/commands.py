"""An interpreter in which `mopd` commands of many tests are run: what they import is imported once.

python -m tests.e2e.commands FD: reads a JSON list of arguments a line from stdin and answers each, on the file
descriptor, by a line with exit code, stdout and stderr. What a process of its own shows (that a command starts at once,
that it can be killed) is tested by `Prefect.start_mopd` and `Prefect.own_mopd`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Commands:
    """The interpreter, started when it is first needed and again after it was killed."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env
        self._process: subprocess.Popen[str] | None = None
        self._answers = -1

    def run(self, arguments: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        """Run `mopd ARGUMENTS` to its end; one that takes too long is killed with all that was started."""
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        answer = self._read_line(seconds)
        if answer is None:
            self.close()
            raise subprocess.TimeoutExpired(arguments, seconds)
        return subprocess.CompletedProcess(arguments, *answer)

    def close(self) -> None:
        """Kill the interpreter; its workers end with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            os.close(self._answers)
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        self._answers, theirs = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.commands", str(theirs)],
            env=self._env,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            text=True,
            pass_fds=[theirs],
            start_new_session=True,
        )
        os.close(theirs)
        return self._process

    def _read_line(self, seconds: float) -> tuple[int, str, str] | None:
        """One answer; None where none came in time, or the interpreter died."""
        found = b""
        while not found.endswith(b"\n"):
            ready, _, _ = select.select([self._answers], [], [], seconds)
            part = os.read(self._answers, 1 << 20) if ready else b""
            if not part:
                return None
            found += part
        code, out, err = json.loads(found)
        return code, out, err


def answer(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command, as a process of its own would have them.

    Without heartbeats: every flow, one a stage, would wait at its end up to a second for the thread that sends them.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.cli import main

    out, err = io.StringIO(), io.StringIO()
    silent = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with silent, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except Exception:
            traceback.print_exc()
            code = 1
    return code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "w") as answers:
        os.set_inheritable(answers.fileno(), False)
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
