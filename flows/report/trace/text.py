"""A trace for people: a tree of steps, each made from the one above it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flows.report.text import number
from flows.runtime.console import clock

Json = dict[str, Any]
KEY_LETTERS = 12
MOST_PARENTS = 4
STATES = {
    "out of date": "out of date: what it was made from holds something else now, the next start makes it again",
    "taken over": "taken over when the run was forked",
}


def trace_text(trace: Json) -> str:
    """The whole tree."""
    head = f"{trace['run']}: round {trace['round']}, prompt {trace['prompt_id']}, sample {trace['sample']}"
    lines = [head]
    for depth, step in enumerate(trace["steps"]):
        indent = "  " * depth
        lines.append(f"{indent}{'└ ' if depth else ''}{step['step']}: {'; '.join(_facts(step))}")
        lines += [f"{indent}    {line}" for line in (*_details(step), *_shard_lines(step["shard"]))]
    return "\n".join(lines)


def _facts(step: Json) -> Iterator[str]:
    if step["note"]:
        yield step["note"]
    if any(step["facts"].values()) or not step["note"]:
        yield from _FACTS[step["step"]](step["facts"])


def _task(facts: Json) -> Iterator[str]:
    yield f"dataset {facts['dataset'] or '-'}, split {facts['split'] or '-'}, judged by {facts['verifier'] or '-'}"
    yield facts["source"]
    known = {"prompt_id", "dataset", "split", "verifier", "source", "tasks_digest"}
    yield from (f"{name} {value}" for name, value in facts.items() if name not in known)
    yield f"tasks {facts['tasks_digest'][:KEY_LETTERS]}"


def _prompt(facts: Json) -> Iterator[str]:
    yield "drawn"


def _rollout(facts: Json) -> Iterator[str]:
    yield f"by policy {facts['policy_version']}, seed {facts['seed']}, temperature {facts['temperature']:g}"
    yield f"{facts['num_tokens']} tokens, {facts['finish_reason']}"


def _verdict(facts: Json) -> Iterator[str]:
    outcome = {True: "success", False: "failure", None: f"no verdict ({facts['error']})"}[facts["success"]]
    yield f"{outcome}, reward {number(facts['reward']) or '-'}, by {facts['verifier']}"
    if facts["kind"]:
        yield facts["kind"]


def _context(facts: Json) -> Iterator[str]:
    peers = ", ".join(_peer(peer) for peer in facts["peers"]) or f"no peers ({facts['no_section_reason']})"
    yield f"{facts['variant']}: {peers}, {facts['num_tokens']} tokens{', cut' if facts['truncated'] else ''}"
    if len(facts["dropped"]):
        yield f"dropped for the budget: {', '.join(facts['dropped'])}"
    shown = [_shown(one) for one in facts["shown_to"]]
    yield f"was shown itself to {', '.join(shown)}" if shown else "was shown to nobody"


def _peer(peer: Json) -> str:
    sample = "" if peer["sample"] is None else f" {peer['sample']} of round {peer['round']}"
    return f"{peer['role']}{sample}"


def _shown(shown: Json) -> str:
    return f"sample {shown['sample']} of round {shown['round']} as {shown['role']}"


def _score(facts: Json) -> Iterator[str]:
    logp = number(facts["mean_teacher_logprob"])
    yield f"by {facts['teacher']} {facts['teacher_version']}, mean log-probability {logp or '-'}"
    yield f"advantage {number(facts['advantage']) or '-'}, {'with' if facts['distill'] else 'without'} peer sections"


def _updates(facts: Json) -> Iterator[str]:
    yield f"{len(facts['updates'])} took its tokens"


def _policy(facts: Json) -> Iterator[str]:
    yield f"policy {facts['version']}, {facts['steps']} updates"


def _evaluation(facts: Json) -> Iterator[str]:
    rate = facts["pass_rate"]
    passed = "-" if rate is None else f"{100 * rate:.1f} %"
    yield f"policy {facts['policy']}, pass rate {passed}, {facts['shards']} shards, {facts['nulls']} nulls"


def _details(step: Json) -> list[str]:
    """A line an update."""
    return [_update_line(update) for update in step["facts"].get("updates", ())] if step["step"] == "updates" else []


def _update_line(update: Json) -> str:
    name = f"update {update['number'] + 1} of the round"
    name += "" if update["step"] is None else f" (step {update['step']}, {update['objective']})"
    if update["why"]:
        return f"{name}: it carried no loss: {update['why']}"
    weight = "by pairs" if update["weight"] is None else f"weight {update['weight']:.4g} of 1"
    return f"{name}: {weight}, loss {number(update['loss']) or '-'} over {update['tokens']} tokens"


def _shard_lines(shard: Json | None) -> list[str]:
    """Address, what it was made by, who made it, and what is not as it should be."""
    if shard is None:
        return []
    lines = [", ".join([_address(shard), _stage(shard), *_model(shard["model"])])]
    if "created" in shard:
        lines += [f"{shard['file']}, {_maker(shard)}", _parents(shard)]
    lines += list(_remarks(shard))
    if "settings" in shard:
        lines.append(f"settings {json.dumps(shard['settings'], ensure_ascii=False)}")
    return [line for line in lines if line]


def _address(shard: Json) -> str:
    return f"{shard['table']} r{shard['round']:04d} s{shard['shard']:04d} {shard['key'][:KEY_LETTERS]}"


def _stage(shard: Json) -> str:
    return f"{shard['stage']} v{shard['stage_version']}, settings {shard['settings_digest'][:KEY_LETTERS]}"


def _model(model: Json | None) -> Iterator[str]:
    if model is not None:
        yield f"model {(model['digest'] or '-')[:KEY_LETTERS]} (policy {model['version']})"
        if "teacher_digest" in model:
            yield f"teacher {model['teacher_digest'][:KEY_LETTERS]}"


def _maker(shard: Json) -> str:
    host = f"{shard['replica'] or 'a process'} on {shard['host']}, " if shard["host"] else ""
    seconds = "" if shard["seconds"] is None else f", {clock(shard['seconds'])}"
    tried = f", attempt {shard['attempts']}" if (shard["attempts"] or 1) > 1 else ""
    return f"{host}{shard['created'][:19].replace('T', ' ')} UTC{seconds}{tried}"


def _parents(shard: Json) -> str:
    parents = [parent for parent in shard["parents"] if parent["used"]]
    shown = [_address(parent) + (" (changed)" if parent["changed"] else "") for parent in parents[:MOST_PARENTS]]
    more = len(parents) - len(shown)
    return f"from {', '.join(shown)}{f' and {more} more' if more else ''}" if shown else ""


def _remarks(shard: Json) -> Iterator[str]:
    if shard["state"] in STATES:
        yield STATES[shard["state"]] + (f": {shard['home']}" if shard["state"] == "taken over" else "")
    if "recorded" in shard and shard["recorded"]["stage_version"] is None:
        yield "its manifest says no stage version and settings: these follow from its key"
    if shard.get("made_again"):
        yield "made again after what was made from it"
    for other in shard["beside"]:
        named = f" of {other['name']}" if other["name"] else ""
        yield f"beside it: {other['manifest']}{named}{' (superseded)' if other['superseded'] else ''}"


_FACTS = {
    "task": _task,
    "prompt": _prompt,
    "rollout": _rollout,
    "verdict": _verdict,
    "context": _context,
    "score": _score,
    "updates": _updates,
    "policy": _policy,
    "evaluation": _evaluation,
}
