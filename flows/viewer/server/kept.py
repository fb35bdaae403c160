"""A document that takes long to make: the last one is the answer while a newer one is made in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from flows.viewer.documents.viewed import Json, ViewedRun
from mopd.errors import InputError
from storage.errors import StorageError

PATIENCE_SECONDS = 0.5
"""So long a newer one is waited for where there is an older one."""

Asked = ViewedRun | Sequence[ViewedRun]
Made = tuple[Json | None, int]
"""A document and the number of the moment that it is of."""


class KeptDocument:
    """One document of one run, or of several together."""

    def __init__(self, make: Callable[[Any], Json | None]) -> None:
        self._make = make
        self._made: Made | None = None
        self._making: Future[Made] | None = None
        self._lock = threading.Lock()

    def ask(self, run: Asked, moment: int) -> Made:
        """That of the moment or of a later one, where it is made soon, else of an earlier one.

        Raises what making the first one does; of others the run's problems say why there is none.
        """
        made, making = self._made, self.begin(run, moment)
        if made is None:
            return making.result()
        try:
            return making.result(timeout=PATIENCE_SECONDS)
        except TimeoutError:
            return made
        except (InputError, StorageError, OSError) as error:
            (run if isinstance(run, ViewedRun) else run[0]).leave_out(f"what is shown is of an earlier moment: {error}")
            return made

    def begin(self, run: Asked, moment: int) -> Future[Made]:
        """Make that of the moment, unless it or a later one is there, or one is being made; what will be there."""
        with self._lock:
            if self._making is None or (self._making.done() and not self._is_there(moment)):
                self._making = Future()
                work = (self._making, run, moment)
                threading.Thread(target=self._renew, args=work, daemon=True, name="make a document").start()
            return self._making

    def _is_there(self, moment: int) -> bool:
        return self._made is not None and self._made[1] >= moment

    def _renew(self, making: Future[Made], run: Asked, moment: int) -> None:
        try:
            self._made = (self._make(run), moment)
            making.set_result(self._made)
        except BaseException as error:  # told to whoever waits
            making.set_exception(error)
