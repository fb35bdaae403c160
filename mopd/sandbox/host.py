"""The sandbox of every backend: programs in processes forked from warm interpreters, and the host's side of a call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from mopd.sandbox.base import Limits, Outcome, Program, Sandbox
from mopd.sandbox.cgroups import ControlGroup
from mopd.sandbox.guest.wire import WireError, decode, dumps, encode, is_exact
from mopd.sandbox.meter import Budget
from mopd.sandbox.process import Message, NoAnswer, Process, SandboxFailure, how_it_ended
from mopd.sandbox.users import SlotUser
from mopd.sandbox.zygote import Backend, Zygote

MAX_ERROR = 400
MAX_TEST_MESSAGE = 16 << 20
"""Bytes of what tests say at once: they are trusted, and may give a program large arguments."""
ROOM, ROOM_FACTOR = 4 << 10, 4
"""Bytes by which a program's message may be larger than the output limit: for what stands around values, and for each
byte that its tests said."""
START_ATTEMPTS = 2


class ZygoteSandbox(Sandbox):
    """Programs in processes forked from one warm interpreter a slot."""

    def __init__(self, backend: Backend, num_slots: int, limits: Limits) -> None:
        """Interpreters start with the first program of their slot. `limits` bound a slot as a whole."""
        self.backend = backend.name
        self.policy_digest = backend.policy_digest
        self.num_slots = num_slots
        self._lock = threading.Lock()
        self._running = threading.BoundedSemaphore(num_slots)
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="sandbox-spawner")
        self._slots: list[Zygote] = []
        try:
            for number in range(num_slots):
                self._slots.append(self._slot(backend, str(number), limits))
        except BaseException:
            self.close()
            raise

    def _slot(self, backend: Backend, name: str, limits: Limits) -> Zygote:
        group = ControlGroup(f"{id(self):x}-{name}", limits)
        return Zygote(backend, SlotUser(), lambda function: self._spawner.submit(function).result(), group)

    def run(self, source: str, stdin: str, limits: Limits) -> Outcome:
        with self._running, self._least_used() as slot:
            return concluded(lambda: self._run(slot, source, stdin, limits))

    def _run(self, slot: Zygote, source: str, stdin: str, limits: Limits) -> Outcome:
        process = start(slot, limits, stdin)
        try:
            answer = process.run({"do": "run", "source": source}, Budget(limits.cpu_seconds))
            return whole_outcome(process, answer, source)
        except NoAnswer as none:
            return Outcome(none.status, error=none.error, cpu_seconds=process.cpu_seconds)
        finally:
            process.close()

    @contextmanager
    def load(self, source: str, limits: Limits) -> Iterator[Program]:
        with self._least_used() as slot:
            program = LoadedProgram(slot, self._running, source, limits)
            try:
                yield program
            finally:
                program.close()

    def run_tests(
        self, source: str, tests: str, entry_point: str, limits: Limits, further: tuple[str, ...] = ()
    ) -> Outcome:
        with self._running, self._least_used() as slot:
            program = LoadedProgram(slot, None, source, limits, Budget(limits.cpu_seconds))
            try:
                return concluded(lambda: relay(slot, program, tests, (entry_point, *further), limits))
            finally:
                program.close()

    def close(self) -> None:
        for slot in self._slots:
            slot.stop()
            slot.user.release()
        self._spawner.shutdown()

    @contextmanager
    def _least_used(self) -> Iterator[Zygote]:
        """The slot with the fewest programs: one to itself, as long as no thread has more than one program."""
        with self._lock:
            slot = min(self._slots, key=lambda candidate: candidate.num_programs)
            slot.num_programs += 1
        try:
            yield slot
        finally:
            with self._lock:
                slot.num_programs -= 1


class LoadedProgram(Program):
    """A program whose process starts with the first call, and again after it was lost."""

    def __init__(
        self,
        slot: Zygote,
        running: threading.Semaphore | None,
        source: str,
        limits: Limits,
        budget: Budget | None = None,
    ) -> None:
        """`running` bounds how many programs compute at once; `budget` is one for all calls together."""
        self._slot = slot
        self._running = running
        self.source = source
        self._limits = limits
        self._budget = budget
        self._process: Process | None = None

    def call(self, name: str, args: list[Any]) -> Outcome:
        question = {"do": "call", "name": name, "args": encode(args), "kwargs": encode({})}
        with self._running or nullcontext():
            outcome = concluded(lambda: self._call(question))
        if outcome.status not in ("ok", "runtime_error"):
            self.close()
        return outcome

    def converse(self, message: Message) -> Outcome:
        """What the program says to a message of its tests, as it stands: `ok` with a message for them.

        Arguments that it changed come back with it: so a larger message may bring a larger answer.
        """
        room = ROOM_FACTOR * len(dumps(message)) + ROOM
        return concluded(lambda: self._call({"do": "peer", "message": message}, room))

    def _call(self, question: Message, room: int = 0) -> Outcome:
        if self._process is None:
            self._process = start(self._slot, self._limits)
            loaded = self._ask({"do": "load", "source": self.source})
            if loaded.status != "ok":
                self.close()
                return loaded
        return self._ask(question, room)

    def _ask(self, question: Message, room: int = 0) -> Outcome:
        assert self._process is not None
        return ask(self._process, question, self._budget or Budget(self._limits.cpu_seconds), self.source, room)

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None


def start(slot: Zygote, limits: Limits, stdin: str | None = None) -> Process:
    """A process for one program; a warm interpreter that died is started again. Raises SandboxFailure."""
    request = (
        slot.backend.config | {"expendable": slot.group.bounds_memory} | ({} if stdin is None else {"stdin": stdin})
    )
    for attempt in range(START_ATTEMPTS):
        try:
            return Process(slot.launch, limits, dict(request))
        except SandboxFailure:
            if attempt == START_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def ask(process: Process, question: Message, budget: Budget, source: str, room: int = 0) -> Outcome:
    """One question and what came of it. Raises SandboxFailure."""
    before = process.cpu_seconds
    try:
        answer = process.ask(question, budget, room)
        if question["do"] == "peer" and answer.keys() == {"message"} and isinstance(answer["message"], dict):
            return Outcome("ok", answer["message"], cpu_seconds=max(0.0, process.cpu_seconds - before))
        return answer_outcome(answer, source, max(0.0, process.cpu_seconds - before))
    except NoAnswer as none:
        return Outcome(none.status, error=none.error, cpu_seconds=max(0.0, process.cpu_seconds - before))


def answer_outcome(answer: Message, source: str, cpu_seconds: float) -> Outcome:
    """What an answer says, if it is one."""
    if answer.keys() == {"ok"}:
        try:
            value = decode(answer["ok"])
            return Outcome("ok", value, cpu_seconds=cpu_seconds, exact=is_exact(answer["ok"]))
        except WireError as error:
            return Outcome("protocol_error", error=str(error), cpu_seconds=cpu_seconds)
    if answer == {"over": True}:
        return Outcome("output_limit", error="a result over the output limit", cpu_seconds=cpu_seconds)
    if answer.keys() == {"error", "line"} and isinstance(answer["error"], str):
        line = line_within(answer["line"], source)
        return Outcome("runtime_error", error=clean(answer["error"]), line=line, cpu_seconds=cpu_seconds)
    return Outcome("protocol_error", error="an answer with other keys than asked for", cpu_seconds=cpu_seconds)


def whole_outcome(process: Process, answer: Message | None, source: str) -> Outcome:
    """How a whole program ended, by its exit code; what it said about its failure."""
    code, cpu_seconds = process.exit_code, process.cpu_seconds
    if code == 0:
        return Outcome("ok", process.output.decode(errors="replace"), cpu_seconds=cpu_seconds)
    if code is None or code < 0:
        return Outcome("crashed", error=how_it_ended(code), cpu_seconds=cpu_seconds)
    if answer is None:
        return Outcome("runtime_error", error=f"exit code {code}", cpu_seconds=cpu_seconds)
    outcome = answer_outcome(answer, source, cpu_seconds)
    if outcome.status == "ok":
        return Outcome("protocol_error", error="a failure that says ok", cpu_seconds=cpu_seconds)
    return outcome


def relay(slot: Zygote, program: LoadedProgram, tests: str, names: tuple[str, ...], limits: Limits) -> Outcome:
    """Runs tests in a process of their own; carries messages between them and the program. Raises SandboxFailure."""
    process = start(slot, replace(limits, output_bytes=MAX_TEST_MESSAGE))
    budget = Budget(limits.cpu_seconds)
    failed: Outcome | None = None
    question: Message = {"do": "tests", "source": tests, "names": names}
    try:
        while True:
            answer = process.ask(question, budget)
            if answer.keys() != {"message"}:
                return tests_outcome(answer, failed, process.cpu_seconds)
            outcome = program.converse(answer["message"])
            if outcome.status != "ok":
                return outcome
            question = {"message": outcome.value}
            failed = told_failure(outcome.value, program.source) or failed
    except NoAnswer as none:
        return Outcome(none.status, error=f"the tests: {none.error}", cpu_seconds=process.cpu_seconds)
    finally:
        process.close()


def told_failure(message: Message, source: str) -> Outcome | None:
    """The exception of which a program tells its tests; None where it tells of none."""
    error = message.get("error")
    if not isinstance(error, str):
        return None
    return Outcome("runtime_error", error=clean(error), line=line_within(message.get("line"), source))


def tests_outcome(answer: Message, failed: Outcome | None, cpu_seconds: float) -> Outcome:
    """How tests ended; where it was by an exception of the program, `failed` has told of it."""
    if "unreadable" in answer:
        return Outcome("protocol_error", error=clean(str(answer["unreadable"])), cpu_seconds=cpu_seconds)
    relayed = answer.pop("relayed", False)
    return failed if relayed and failed else answer_outcome(answer, "", cpu_seconds)


def concluded(action: Callable[[], Outcome]) -> Outcome:
    """An outcome, whatever happens to the sandbox."""
    try:
        return action()
    except SandboxFailure as failure:
        return Outcome("infrastructure_error", error=clean(str(failure)))


def clean(text: str) -> str:
    """A program's own words, fit to be shown: one line, of limited length, without control characters."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * MAX_ERROR])
    return " ".join(plain.encode("utf-8", "replace").decode().split())[:MAX_ERROR]


def line_within(line: Any, source: str) -> int | None:
    """A line number, if the program has that line."""
    return line if type(line) is int and 1 <= line <= source.count("\n") + 1 else None
