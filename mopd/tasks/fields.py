"""Fields of a row, read with the one line that each mistake gets: "field: what is wrong; the fix"."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

from mopd.errors import InputError
from mopd.tasks.task import Message

Record = dict[str, Any]
ROLES = ("system", "user", "assistant")


class RowError(InputError):
    """What is wrong with a row; whoever knows where the row is puts that before it."""


def parse_record(line: str) -> Record:
    """The JSON object of a line. Raises RowError."""
    try:
        record = json.loads(line, parse_constant=_no_number)
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RowError("holds half a surrogate pair, which is no character; remove it") from error
    except (ValueError, RecursionError) as error:
        raise RowError(f"not valid JSON ({error}); write one JSON object a line") from error
    if not isinstance(record, dict):
        raise RowError(f'must be a JSON object, not {_kind(record)}; write {{"id": ..., ...}}')
    return record


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def text(record: Record, name: str) -> str:
    """A field that must be there and not blank, verbatim."""
    if record.get(name) is None:
        raise RowError(f"{name}: missing; add it")
    value = record[name]
    if not isinstance(value, str):
        raise RowError(f"{name}: must be a string, not {_kind(value)}; put it in quotes")
    if not value.strip():
        raise RowError(f"{name}: empty; fill it in")
    return value


def optional_text(record: Record, name: str) -> str | None:
    """A field that may be missing or null, but not blank."""
    return None if record.get(name) is None else text(record, name)


def number_text(record: Record, name: str) -> str:
    """A number, or text, as people write it: 43.0 is "43"."""
    value = record.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return answer_text(record, name)
    if not math.isfinite(value):
        missing = "missing (NaN)" if math.isnan(value) else "no number that a float can hold"
        raise RowError(f"{name}: {missing}; add it, or remove the row")
    is_whole = isinstance(value, int) or value.is_integer()
    return str(int(value)) if is_whole else format(Decimal(repr(value)), "f")


def answer_text(record: Record, name: str) -> str:
    """A text that must be there: "nan" is what tables write where there is none."""
    value = text(record, name)
    if value.strip().casefold() == "nan":
        raise RowError(f"{name}: missing ({value!r}); add it, or remove the row")
    return value


def whole_number(record: Record, name: str) -> int | None:
    """A whole number, None where it is missing or null."""
    value = record.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise RowError(f"{name}: must be a whole number, not {_kind(value)}; mend it or remove it")


def json_text(record: Record, name: str) -> str | None:
    """JSON text, or an object or a list that becomes JSON text; None where the field is missing or null."""
    value = record.get(name)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return optional_text(record, name)


def mapping(record: Record, name: str) -> Record:
    """An object that JSON can hold; empty where the field is missing or null."""
    value = {} if record.get(name) is None else record[name]
    if not isinstance(value, dict):
        raise RowError(f"{name}: must be an object, not {_kind(value)}; write {{...}}")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RowError(f"{name}: can't be written as JSON ({error}); keep text, numbers, lists and objects") from error
    return value


def read_messages(record: Record) -> list[Message]:
    """`prompt` as one user message, or `messages` as they are."""
    record = {name: value for name, value in record.items() if value is not None}
    if ("prompt" in record) == ("messages" in record):
        problem = "both given; keep one of them" if "prompt" in record else "missing; add one of them"
        raise RowError(f"prompt, messages: {problem}")
    if "prompt" in record:
        return [user(text(record, "prompt"))]
    messages = record["messages"]
    if not isinstance(messages, list) or not messages:
        raise RowError("messages: must be a list of at least one message; write [{role, content}, ...]")
    checked = [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]
    if checked[-1]["role"] != "user":
        raise RowError("messages: must end with a user message; remove what follows the question")
    return checked


def user(content: str) -> Message:
    """A user message."""
    return {"role": "user", "content": content}


def _message(message: Any, where: str) -> Message:
    if not isinstance(message, dict):
        raise RowError(f"{where}: must have role and content, and this is {_kind(message)}; mend it")
    message = {name: value for name, value in message.items() if value is not None and value != []}  # Arrow adds nulls
    if set(message) != {"role", "content"}:
        raise RowError(f"{where}: must have role and content, and nothing else; mend it")
    try:
        role, content = text(message, "role"), text(message, "content")
    except RowError as error:
        raise RowError(f"{where}: {error}") from error
    if role not in ROLES:
        raise RowError(f"{where}: role: {role!r} is unknown; choose one of {', '.join(ROLES)}")
    return {"role": role, "content": content}


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else f"a {type(value).__name__}")
