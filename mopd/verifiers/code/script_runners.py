"""Runs a task's tests by unittest or pytest themselves. Its text goes before them, into the sandbox of the tests: the
standard library and, for `run_pytest`, pytest alone.

Whatever a test raises first is raised here, the same object; AssertionError when a test fails otherwise.
"""

import contextlib
import io
import os
import pathlib
import sys
import types
from typing import Any


class CantJudge(Exception):
    """The tests say nothing about the program: they were skipped, or there were none."""


def run_plain(source: str, names: dict[str, Any]) -> None:
    """Tests that use pytest as a library: `pytest.raises`, `pytest.approx`."""
    _find_pytest()
    try:
        _execute(source, names)
    except BaseException as error:
        raise _as_assertion(error)  # noqa: B904 - it is the same one, but for pytest's own


def run_unittest(source: str, names: dict[str, Any], classes: list[str]) -> None:
    """Classes of unittest, one after the other."""
    import unittest

    class FirstFailure(unittest.TestResult):
        error: BaseException | None = None

        def note(self, error: BaseException) -> None:
            self.error = self.error or error
            _tell_line(error, source)
            self.stop()

        def addError(self, test: Any, err: Any) -> None:
            self.note(err[1])

        addFailure = addError

        def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
            if err is not None:
                self.note(err[1])

        def addSkip(self, test: Any, reason: str) -> None:
            self.note(CantJudge(f"{test} was skipped"))

    if "pytest" in source:
        _find_pytest()
    try:
        _execute(source, names)
    except BaseException as error:
        raise _as_assertion(error)  # noqa: B904
    result = FirstFailure()
    for name in classes:
        unittest.defaultTestLoader.loadTestsFromTestCase(names[name])(result)
        if result.error is not None:
            raise _as_assertion(result.error)
    if not result.testsRun:
        raise CantJudge("unittest finds no test")


def run_pytest(source: str, names: dict[str, Any], entry_point: str) -> None:
    """A file of tests, by pytest."""
    _find_pytest()
    import pytest

    class Watch:
        error: BaseException | None = None
        num_run = 0

        @pytest.fixture
        def candidate(self) -> Any:
            return names["candidate"]

        @pytest.fixture(name=entry_point)
        def program(self) -> Any:
            return names["candidate"]

        def pytest_exception_interact(self, node: Any, call: Any, report: Any) -> None:
            self.error = self.error or call.excinfo.value

        def pytest_runtest_logreport(self, report: Any) -> None:
            self.num_run += report.when == "call" and report.passed
            if report.skipped or hasattr(report, "wasxfail"):
                self.error = self.error or CantJudge(f"{report.nodeid} was skipped")

    program = sys.modules["names_of_task"] = types.ModuleType("names_of_task")
    program.__dict__.update(names)
    pathlib.Path("test_task.py").write_text(source, encoding="utf-8")
    watch = Watch()
    options = ["-x", "-s", "--assert=plain", "--rootdir=.", f"-c{os.devnull}"]
    unneeded = [word for name in ("cacheprovider", "faulthandler", "junitxml") for word in ("-p", f"no:{name}")]
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main(["test_task.py", *options, *unneeded], plugins=[watch])
    if watch.error is not None:
        raise _as_assertion(watch.error)
    if code != 0 or not watch.num_run:
        raise CantJudge(f"pytest ran {watch.num_run} tests, and ended with code {int(code)}")


def _execute(source: str, names: dict[str, Any]) -> None:
    exec(compile(source, "<tests>", "exec", dont_inherit=True), names)


def _find_pytest() -> None:
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.path.append(os.environ["TESTING_FOLDER"])


def _tell_line(error: BaseException, source: str) -> None:
    """Puts the line of the test before what an assert method says."""
    lines, trace, file = source.split("\n"), error.__traceback__, ""
    line = ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        line = lines[trace.tb_lineno - 1].strip() if file == "<tests>" else line
        trace = trace.tb_next
    if type(error) is AssertionError and file != "<tests>" and line:
        error.args = (f"{line}: {error}",)


def _as_assertion(error: BaseException) -> BaseException:
    """The same error, but for a failure in pytest's own way: `pytest.fail`, `pytest.raises` that met nothing."""
    outcomes = sys.modules.get("_pytest.outcomes")
    if outcomes is None or not isinstance(error, outcomes.OutcomeException):
        return error
    if type(error).__name__ == "Failed":
        return AssertionError(str(error))
    return CantJudge(f"{type(error).__name__}: {error}")
