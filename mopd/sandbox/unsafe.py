"""The backend that isolates nothing: limits of each process, and its end."""

from __future__ import annotations

from mopd.sandbox.interpreter import Interpreter
from mopd.sandbox.packages import digest_parts, keep_packages, testing_packages
from mopd.sandbox.zygote import ENVIRONMENT, TESTING_FOLDER, Backend


def unsafe_backend(interpreter: Interpreter, packages: tuple[str, ...] = ()) -> Backend:
    """Programs see the machine, its files and its network, as the user that they run as."""
    testing = keep_packages(testing_packages())
    environment = {**ENVIRONMENT, **interpreter.environment}
    environment |= {} if testing is None else {TESTING_FOLDER: str(testing)}
    config = {"isolated": False, "seccomp": "", "packages": str(keep_packages(packages) or "")}
    policy = digest_parts(packages + testing_packages())
    return Backend("unsafe_subprocess", [str(interpreter.python)], environment, config, policy=policy)
