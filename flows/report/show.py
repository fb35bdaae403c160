"""One group of rollouts, or one rollout through its teacher's eyes, in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from flows.folder.policies import policy_folder
from flows.plan.conditions import settings_of
from flows.report.asked import asked_messages
from flows.report.text import text_table
from mopd.errors import InputError
from mopd.settings import Settings
from storage.errors import StorageError
from storage.lookup import scan
from storage.manifests import POLICIES
from storage.policies import checked_folder
from storage.runs import RunFolder
from storage.schemas import Row
from storage.shards import manifests, read_rows

SHADES = ((3.0, "bold {} reverse"), (1.0, "bold {}"), (0.3, "{}"))
"""Styles from a difference of so many nats on; less is not coloured."""
KEYS = ("prompt_id", "sample")
COLUMNS: dict[str, tuple[str, ...]] = {
    "prompts": ("prompt_id", "messages", "answer"),
    "rollouts": (*KEYS, "token_ids", "text", "finish_reason"),
    "verdicts": (*KEYS, "reward", "success", "prediction", "feedback", "kind", "error"),
    "contexts": (*KEYS, "round", "variant", "peers", "messages", "dropped", "no_section_reason"),
    "scores": (*KEYS, "token_ids", "proximal_logprobs", "teacher_logprobs"),
}
"""What is read of each table."""
NUM_SHIFTS = 10
MOST_SHOWN = 80
"""Characters of a prediction in a heading."""


def show_group(folder: RunFolder, round: int, prompt_id: str) -> None:
    """Print the question and each rollout of its group with its verdict."""
    console = Console(highlight=False, soft_wrap=True)
    rollouts = _group(folder, "rollouts", round, prompt_id)
    verdicts, contexts = (
        {row["sample"]: row for row in _rows(folder, table, round, prompt_id=prompt_id)}
        for table in ("verdicts", "contexts")
    )
    prompt = next(iter(_rows(folder, "prompts", round, prompt_id=prompt_id)), None)
    if prompt is None:
        raise InputError(f"prompt {prompt_id}: round {round} has no row of it in prompts; `mopd run` makes it again")
    answer = f", answer {prompt['answer']}" if prompt["answer"] else ""
    console.print(Rule(f"round {round}, prompt {prompt_id}{answer}"))
    _print_messages(console, asked_messages(prompt["messages"], _settings(folder, round)))
    for rollout in rollouts:
        sample = rollout["sample"]
        console.print(Rule(_verdict_line(rollout, verdicts.get(sample)), align="left"))
        console.print(Text(rollout["text"]))
        if sample in verdicts and verdicts[sample]["feedback"]:
            console.print(Text(f"feedback: {verdicts[sample]['feedback']}", style="dim"))
        if sample in contexts:
            console.print(Text(f"the teacher saw: {_peers_line(contexts[sample])}", style="dim"))


def show_sample(folder: RunFolder, round: int, prompt_id: str, sample: int) -> None:
    """Print what the teacher was shown for one rollout, and the rollout's tokens by how it changed its mind."""
    console = Console(highlight=False, soft_wrap=True)
    tables = ("rollouts", "verdicts", "contexts", "scores")
    found = (next(iter(_rows(folder, table, round, prompt_id=prompt_id, sample=sample)), None) for table in tables)
    rollout = next(found)
    if rollout is None:  # said before what may be wrong with the other tables
        samples = [row["sample"] for row in _group(folder, "rollouts", round, prompt_id)]
        raise InputError(f"--sample {sample}: the group has samples {samples[0]} to {samples[-1]}")
    verdict, context, score = found
    decode = _decoder(_tokenizer_folder(folder)) if context and score else None
    console.print(Rule(_verdict_line(rollout, verdict), align="left"))
    if context is None:
        console.print(Text("no context: the run has not come so far, or leaves this group out (generate.groups)"))
        return
    console.print(Text(f"what the teacher was shown ({context['variant']}: {_peers_line(context)})", style="bold"))
    _print_messages(console, context["messages"])
    if score is None or decode is None:
        console.print(Text("not scored yet: the run has not come so far"))
        return
    _print_tokens(console, score, decode)


def _print_tokens(console: Console, score: Row, decode: Callable[[int], str]) -> None:
    """The rollout, coloured by teacher minus student log-probability, and its largest differences in numbers."""
    tokens = [decode(int(token)) for token in score["token_ids"]]
    student, teacher = score["proximal_logprobs"], score["teacher_logprobs"]
    shifts = [float(difference) for difference in teacher - student]
    console.print(Text("\nthe rollout, by teacher minus student log-probability (nats)", style="bold"))
    console.print(_legend())
    console.print(Text.assemble(*((token, _style(shift)) for token, shift in zip(tokens, shifts, strict=True))))
    largest = sorted(range(len(shifts)), key=lambda place: -abs(shifts[place]))[:NUM_SHIFTS]
    rows: list[dict[str, Any]] = [
        {
            "token": place,
            "text": repr(tokens[place]),
            "student": f"{student[place]:.3f}",
            "teacher": f"{teacher[place]:.3f}",
            "difference": f"{shifts[place]:+.3f}",
        }
        for place in sorted(largest)
    ]
    if rows:
        console.print(Text(f"\nlargest differences\n{text_table(rows)}"))


def _style(shift: float) -> str:
    """Green where the teacher finds the token likelier than the student does, red where less likely."""
    colour = "green" if shift > 0 else "red"
    return next((style.format(colour) for least, style in SHADES if abs(shift) >= least), "")


def _legend() -> Text:
    parts: list[tuple[str, str]] = []
    for sign in (-1, 1):
        shades = SHADES if sign < 0 else tuple(reversed(SHADES))
        parts += [(f" {sign * least:+g} ", _style(sign * least)) for least, _ in shades]
        parts += [(" 0 ", "")] if sign < 0 else []
    return Text.assemble("teacher less likely ", *parts, " teacher more likely")


def _print_messages(console: Console, messages: list[Row]) -> None:
    for message in messages:
        console.print(Text(f"[{message['role']}]", style="cyan"))
        console.print(Text(message["content"]))


def _verdict_line(rollout: Row, verdict: Row | None) -> str:
    head = f"sample {rollout['sample']}: {len(rollout['token_ids'])} tokens, {_heading(rollout['finish_reason'])}"
    if verdict is None:
        return f"{head}, not judged yet"
    if verdict["success"] is None:
        return f"{head}, no verdict ({verdict['error']})"
    outcome = "success" if verdict["success"] else "failure"
    judged = f"prediction {_heading(verdict['prediction'])}" if verdict["kind"] is None else verdict["kind"]
    return f"{head}, {outcome}, reward {verdict['reward']:g}, {judged}"


def _heading(prediction: str | None) -> str:
    """The prediction as a heading has room for it."""
    if prediction is None:
        return "none"
    line = " ".join(prediction.split())
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]}…"


def _peers_line(context: Row) -> str:
    peers = ", ".join(_peer_text(peer, context) for peer in context["peers"])
    cut = f"; dropped for the budget: {', '.join(context['dropped'])}" if len(context["dropped"]) else ""
    return (peers or f"the prompt alone, {context['no_section_reason']}") + cut


def _peer_text(peer: Row, context: Row) -> str:
    """Role and sample, and where from, if not from this group."""
    remarks = [f"round {peer['round']}"] if peer["round"] != context["round"] else []
    remarks += [f"prompt {peer['prompt_id']}"] if peer["prompt_id"] != context["prompt_id"] else []
    remarks += [name for name, holds in (("excerpt", peer["fallback"]), ("cut", peer["cut"])) if holds]
    sample = "" if peer["sample"] is None else f" {peer['sample']}"  # the task's own solution is no rollout
    return f"{peer['role']}{sample}" + (f" ({', '.join(remarks)})" if remarks else "")


def _group(folder: RunFolder, table: str, round: int, prompt_id: str) -> list[Row]:
    group = sorted(_rows(folder, table, round, prompt_id=prompt_id), key=lambda row: row["sample"])
    if group:
        return group
    shards = manifests(folder, table, round)
    known = sorted({row["prompt_id"] for shard in shards for row in read_rows(folder, shard, ["prompt_id"])})
    if not known:
        raise InputError(f"--round {round}: the run has no rollouts of this round")
    raise InputError(f"--prompt {prompt_id}: not in round {round}; it has {', '.join(known)}")


def _rows(folder: RunFolder, table: str, round: int, **where: Any) -> list[Row]:
    """The rows with these values, as far as they are shown. Raises StorageError where a damaged shard may hold them."""
    columns = list(COLUMNS[table])
    shards, problems = scan(folder, table, round)
    rows = [row for shard in shards for row in read_rows(folder, shard, columns, where)]
    if problems and not rows:
        raise StorageError(problems[0])
    return rows


def _settings(folder: RunFolder, round: int) -> Settings:
    """Those that a round follows."""
    tree = next((part["settings"] for part in folder.earlier if round < part["below"]), None)
    return settings_of(folder, tree)


def _tokenizer_folder(folder: RunFolder) -> Path:
    """A policy of the run has the initial model's tokenizer, wherever that model is now. Raises InputError."""
    trained = manifests(folder, POLICIES)
    return checked_folder(folder, trained[0], weights=False) if trained else policy_folder(folder, 0)


def _decoder(model: Path) -> Callable[[int], str]:
    """Token id -> text. Read without transformers where the folder allows: that is instant."""
    if (model / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        fast = Tokenizer.from_file(str(model / "tokenizer.json"))
        return lambda token: str(fast.decode([token], skip_special_tokens=False))
    from mopd.models.folders import load_tokenizer

    tokenizer = load_tokenizer(model)
    return lambda token: str(tokenizer.decode([token]))
