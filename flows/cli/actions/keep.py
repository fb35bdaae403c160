"""What `mopd verify`, `mopd repair` and `mopd gc` print."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from json import dumps

from flows.folder.keep.clean import Removal, plan_removal, remove
from flows.folder.keep.repair import Repair, mend, plan_repair
from flows.folder.keep.soundness import Problem, Report, Soundness, check_run
from flows.folder.open import hold_run
from flows.report.sql.knowledge import leave_catalog
from flows.report.status.state import best_evaluation, run_status
from flows.report.text import Cell, text_table
from flows.runtime.console import QUIET_SECONDS, Transfers
from flows.runtime.exit_code import FAILURE
from flows.runtime.shell import shell_command
from mopd.byte_text import byte_text
from storage.logger import silenced
from storage.runs import RunFolder
from storage.stores.address import Address


def verify_command(address: Address, *, json: bool) -> int:
    """Check a run and print what was found. Returns the exit code: 1 where something is wrong."""
    with silenced():
        soundness = check_run(RunFolder.open(address), report_reading(str(address)))
    if json:
        print(dumps({**asdict(soundness), "sound": soundness.is_sound, "command": _mending(soundness)}, indent=2))
    else:
        print(soundness_text(soundness))
    return 0 if soundness.is_sound else FAILURE


def repair_command(address: Address) -> int:
    """Set aside what is damaged. Returns the exit code: 1 where something is left."""
    folder = RunFolder.open(address)
    with hold_run(folder):
        with silenced():
            soundness = check_run(folder, report_reading(str(address)))
            repair = plan_repair(folder, soundness)
        print("\n".join(_repair_lines(repair, soundness)), flush=True)
        place = mend(folder, repair)
    if place:
        print(f"they are in {folder.address}/{place}, with the reasons in why.json; mopd gc removes them")
    if repair.is_made_again:
        print(f"to make it again: {shell_command('run', folder.address)}")
    return FAILURE if repair.left else 0


def gc_command(address: Address, *, keep_policies: int | None, yes: bool) -> int:
    """Show what can go, and remove it where that is wanted. Returns the exit code."""
    folder = RunFolder.open(address)
    with hold_run(folder):
        best = None if keep_policies is None else _best_policy(folder)
        removals = plan_removal(folder, keep_policies=keep_policies, best=best)
        print(_removals_text(removals) or f"{folder.address}: nothing to remove", flush=True)
        if yes and removals:
            remove(folder, removals)
        if removals:
            size = byte_text(sum(removal.bytes for removal in removals))
            again = shell_command("gc", folder.address, "--yes", **{"keep-policies": keep_policies})
            print(f"{folder.address}: {size} removed" if yes else f"{size}, to remove it: {again}", flush=True)
        if yes:
            leave_catalog(folder)  # it names each manifest
    return 0


def _best_policy(folder: RunFolder) -> int | None:
    """The policy with the highest held-out mean@k; None where none was evaluated."""
    best = best_evaluation(run_status(folder)["evaluations"])
    return None if best is None else int(best["policy"])


def _removals_text(removals: Sequence[Removal]) -> str:
    rows: list[dict[str, Cell]] = [
        {"what": one.what, "files": len(one.files), "bytes": byte_text(one.bytes), "why": one.why} for one in removals
    ]
    return text_table(rows) if rows else ""


def report_reading(name: str) -> Report:
    """Lines on stderr where it takes long: how much of how much was read, how fast, how long still."""
    transfers = Transfers(lambda line: print(line, file=sys.stderr, flush=True), what="check")
    began, done_before = time.monotonic(), [0]

    def report(done: int, of: int) -> None:
        if time.monotonic() - began > QUIET_SECONDS:
            transfers.report({"transfer": name, "done": done, "of": of, "begun": done_before[0]})
        else:
            done_before[0] = done

    return report


def soundness_text(soundness: Soundness) -> str:
    """Tables and counts, a line a problem, and what to do."""
    rows: list[dict[str, Cell]] = [
        {"table": one.table, "shards": one.shards, "rows": one.rows or None, "bytes": byte_text(one.bytes)}
        for one in soundness.tables
    ]
    lines = [text_table(rows), ""] if rows else []
    lines += [_line(problem) for problem in [*soundness.damaged, *soundness.lost]]
    return "\n".join([*lines, *_remarks(soundness), _verdict(soundness)])


def _line(problem: Problem) -> str:
    return f"{problem.file}: {problem.reason}" + (f"; {problem.again}" if problem.again else "")


def _remarks(soundness: Soundness) -> list[str]:
    remarks = []
    if soundness.to_come:
        remarks.append(f"not finished: {_count(soundness.to_come, 'shard is', 'shards are')} still to be made")
    if soundness.unnamed:
        number = _count(len(soundness.unnamed), "file or folder", "files or folders")
        remarks.append(f"{number} that no manifest names; to be removed by the next start")
    return remarks


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _verdict(soundness: Soundness) -> str:
    if soundness.is_sound:
        return f"{soundness.run}: sound"
    number = len(soundness.damaged) + len(soundness.lost)
    problems = _count(number, "problem", "problems")
    return f"{soundness.run}: {problems}; to mend {'them' if number > 1 else 'it'}: {_mending(soundness)}"


def _mending(soundness: Soundness) -> str | None:
    """The command that mends it; None where nothing is wrong."""
    if soundness.is_sound:
        return None
    return shell_command("repair" if soundness.damaged or not soundness.is_makeable else "run", soundness.run)


def _repair_lines(repair: Repair, soundness: Soundness) -> list[str]:
    lines = [f"{problem.file}: stays as it is: {problem.reason}" for problem in repair.left]
    lines += [f"{problem.file}: set aside: {_reason(problem)}" for problem in [*repair.aside, *repair.trained_again]]
    lines += [f"{_line(problem)} will be made" for problem in soundness.lost]
    return lines or [f"{soundness.run}: sound, nothing to repair"]


def _reason(problem: Problem) -> str:
    return problem.reason + (f"; {problem.again} will be made again" if problem.again else "")
