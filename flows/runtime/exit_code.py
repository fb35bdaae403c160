"""How a command ends: what a user can mend is one line on stderr, and the exit code says what kind of end it was."""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from flows.runtime.interrupts import WORDS, Terminated
from flows.runtime.server.patience import PATIENCE, gone, is_temporary
from flows.runtime.worker import WorkerDied
from mopd.errors import InputError, is_full_disk
from storage.errors import StorageError

USER_ERROR, FAILURE, STOPPED, INTERRUPTED, TERMINATED = 2, 1, 3, 130, 143
TRACEBACK = "MOPD_TRACEBACK"
"""An environment variable: where it is set, a traceback stands before each line that tells of an error."""


class RunStopped(Exception):
    """A guard of the run ended it: what is done is whole. The message says which guard, and what to do: one line."""


def run_to_exit_code(command: Callable[[], int]) -> int:
    """Run a command; its exit code, or that of the error it ended with. Bugs are raised."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack characters that models write
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command()
        sys.stdout.flush()  # here a reader that went away is noticed, and not while Python ends
        return code
    except (InputError, StorageError) as error:
        return _tell(str(error), USER_ERROR)
    except RunStopped as stop:
        return _tell(str(stop), STOPPED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe went away: nothing is left to say, and nobody to say it to
        return FAILURE
    except OSError as error:
        return _tell(_refusal(error), USER_ERROR)
    except WorkerDied as error:
        return _tell(f"{error}; start the same command again to continue", FAILURE)
    except Terminated:
        return _tell(WORDS[signal.SIGTERM], TERMINATED)
    except KeyboardInterrupt:
        return _tell(WORDS[signal.SIGINT], INTERRUPTED)
    except Exception:
        if not PATIENCE.given_up:
            raise
        start = "start" if is_temporary() else "start it, then"
        return _tell(f"{gone()}; {start} the same command again to continue", FAILURE)


def leave(code: int) -> NoReturn:
    """End this process: wait for threads and call what is registered, as Python does, but don't take it down.

    Threads of libraries live on until then; one that comes back from C++ meanwhile would end the process by SIGABRT.
    Another signal ends it at once: all that mattered is done, and said.
    """
    for number in WORDS:
        signal.signal(number, lambda *_: _go(code))
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    _go(code)


def _go(code: int) -> NoReturn:
    with suppress(OSError, ValueError, RuntimeError):  # a reader that went away, a stream that was closed or is in use
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _refusal(error: OSError) -> str:
    """What the system refused, and of which file: of two, a copy names first what it reads, then the one on the full
    disk."""
    file = error.filename2 if error.filename2 and is_full_disk(error) else error.filename
    return (f"{file}: " if file else "") + (error.strerror or str(error))


def _tell(message: str, code: int) -> int:
    if os.environ.get(TRACEBACK):
        traceback.print_exc()
    print(f"mopd: {' '.join(message.split())}", file=sys.stderr)
    return code
