"""Promises of a rollout's page: what the teacher thought of each token is there for the pointer and for the keys, what
it was shown is marked, and one rollout leads to the next."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flows.viewer.documents.rollouts.rollout import rollout_document
from flows.viewer.documents.viewed import ViewedRun
from flows.viewer.file import write_report
from mopd.settings import parse_settings
from storage.runs import RunFolder
from tests.flows.viewer.places import address, show
from tests.storage.storage_samples import commit, make_rows

pytestmark = pytest.mark.browser
ROLLOUT = "round/:round/prompt/:prompt/sample/:sample"
ORDERS = {
    "key": "ORDER BY prompt_id, sample",
    "disagreement": "ORDER BY disagreement DESC, prompt_id, sample",
    "success": "WHERE success ORDER BY prompt_id, sample",
    "failure": "WHERE NOT success ORDER BY prompt_id, sample",
}
ROWS = """
FROM (
    SELECT
        prompt_id, sample, success,
        round(list_avg([abs(x[1]::DOUBLE - x[2]::DOUBLE) FOR x IN list_zip(teacher_logprobs, proximal_logprobs)]), 4)
            AS disagreement
    FROM episodes WHERE round = 1
)
"""


@pytest.fixture(scope="module")
def run(small_run: RunFolder) -> ViewedRun:
    return ViewedRun(small_run, "small")


@pytest.fixture(scope="module")
def url(small_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report([small_run], tmp_path_factory.mktemp("page") / "report.html").as_uri()


@pytest.fixture
def opened(run: ViewedRun, url: str, tab: Any) -> dict[str, Any]:
    """The document of the rollout that is shown, one whose teacher was shown peers."""
    row = run.ask("SELECT prompt_id, sample FROM episodes WHERE round = 1 AND has_sections ORDER BY ALL LIMIT 1")[0]
    show(tab, url + address(ROLLOUT, round=1, prompt=row["prompt_id"], sample=row["sample"]))
    document = rollout_document(run, 1, row["prompt_id"], row["sample"])
    assert document is not None
    return document


def panel(tab: Any) -> Any:
    return tab.get_by_role("region", name="The token")


def shown_number(value: float) -> str:
    """As the panel has it: three significant digits, a real minus."""
    return "0" if value == 0 else f"{'−' if value < 0 else '+'}{float(f'{abs(value):.3g}'):g}"


def options(tab: Any) -> Any:
    return tab.get_by_role("listbox", name="Tokens of the reply").get_by_role("option")


def test_a_token_that_is_pointed_at_shows_both_distributions(opened: dict[str, Any], run: ViewedRun, tab: Any) -> None:
    position = 3
    options(tab).nth(position).hover()
    reading = opened["readings"][0]
    text = panel(tab).inner_text()
    assert f"token {position + 1} of {len(opened['token_ids'])} · id {opened['token_ids'][position]}" in text
    for name, logp in (
        ("teacher", reading["score"]["teacher_logps"][position]),
        ("student", reading["score"]["student"][position]),
        ("as sampled", opened["behaviour"][position]),
    ):
        row = panel(tab).get_by_role("row", name=re.compile(f"^{name} ")).first.inner_text()
        assert row.split("\t")[1:] == [shown_number(logp), f"{100 * math.exp(logp):.1f} %"]
    top = panel(tab).get_by_role("table").nth(1).get_by_role("row").all_inner_texts()[1:]
    ids = reading["top"]["ids"][position][:3]
    assert [line.split("\t")[0].replace("·", " ").removesuffix(" said").strip() for line in top[:3]] == [
        run.vocabulary[number].strip() for number in ids
    ]
    tab.get_by_role("heading", level=1).hover()
    assert f"token {position + 1} of" not in panel(tab).inner_text()


def test_keys_go_from_token_to_token_and_the_address_remembers(opened: dict[str, Any], tab: Any) -> None:
    options(tab).nth(0).click()
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowLeft")
    assert "token 3 of" in panel(tab).inner_text()
    assert tab.locator("[aria-selected=true]").get_attribute("id") == "token-2"
    assert tab.get_by_role("listbox").get_attribute("aria-activedescendant") == "token-2"
    assert tab.url.endswith("?token=2")
    tab.reload()
    tab.get_by_role("heading", level=1).wait_for()
    assert "token 3 of" in panel(tab).inner_text()


def test_the_list_of_tokens_that_carry_most_leads_to_them(opened: dict[str, Any], tab: Any) -> None:
    losses = opened["readings"][0]["score"]["loss"]["values"]
    order = sorted(range(len(losses)), key=lambda position: -losses[position])
    rows = tab.get_by_role("heading", name="Tokens that carry most of the loss").locator("..").get_by_role("row").all()
    assert [row.inner_text().split("\t")[1] for row in rows[1:]] == [str(position + 1) for position in order[:10]]
    assert f"token {order[0] + 1} of" in panel(tab).inner_text()  # where one begins
    rows[3].get_by_role("button").click()
    assert f"token {order[2] + 1} of" in panel(tab).inner_text()
    tab.keyboard.press("m")
    assert f"token {order[3] + 1} of" in panel(tab).inner_text()


def test_the_next_token_is_read_out(opened: dict[str, Any], tab: Any) -> None:
    status = panel(tab).get_by_role("status").element_handle()
    before = status.inner_text()
    tab.keyboard.press("ArrowRight")
    assert status.evaluate("status => status.isConnected")
    assert status.inner_text() != before


def test_peers_are_marked_in_what_the_teacher_was_shown(opened: dict[str, Any], tab: Any) -> None:
    context = opened["readings"][0]["context"]
    for span in context["spans"]:
        peer = context["peers"][span["peer"]]
        text = context["messages"][span["message"]]["content"][span["start"] : span["end"]]
        link = tab.get_by_role("link", name=f"reply {peer['sample']}").last
        part = tab.locator(".turn .peer").filter(has_text=text).filter(has=link)
        assert part.count() >= 1
        assert ("success" if peer["success"] else "failure") in part.first.inner_text()
    link = tab.locator(".turn .peer").first.get_by_role("link")
    name = link.inner_text().capitalize()
    link.click()
    tab.get_by_role("heading", level=1, name=re.compile(f"^{name} to")).wait_for()


def test_another_context_shows_what_the_teacher_thought_then(opened: dict[str, Any], tab: Any) -> None:
    control = next(one for one in opened["readings"] if one["condition"] == "control")
    tab.get_by_label("context").select_option("control")
    tab.wait_for_url(re.compile("context=control"))
    tab.get_by_text("another context: it was only looked at").first.wait_for()
    options(tab).nth(2).hover()
    row = panel(tab).get_by_role("row", name=re.compile("^teacher ")).first.inner_text()
    assert row.split("\t")[1] == shown_number(control["score"]["teacher_logps"][2])
    tab.keyboard.press("c")
    tab.get_by_text("trained on", exact=True).wait_for()


def test_the_run_leads_to_where_teacher_and_student_differ_most(run: ViewedRun, url: str, tab: Any) -> None:
    first = run.ask(f"SELECT * {ROWS} {ORDERS['disagreement']} LIMIT 1")[0]
    show(tab, f"{url}#/overview")
    tab.get_by_role("link", name="the reply over which teacher and student differ most").click()
    name = f"Reply {first['sample']} to {first['prompt_id']}"
    tab.get_by_role("heading", level=1, name=name).wait_for()
    assert tab.url.endswith("?by=disagreement")
    tab.go_back()
    tab.get_by_role("heading", level=1, name="small").wait_for()


@pytest.mark.parametrize("by", ORDERS)
def test_the_next_one_in_each_order_is_that_of_sql(by: str, run: ViewedRun, url: str, tab: Any) -> None:
    rows = [(row["prompt_id"], row["sample"]) for row in run.ask(f"SELECT * {ROWS} {ORDERS[by]}")]
    prompt, sample = rows[0]
    show(tab, f"{url}{address(ROLLOUT, round=1, prompt=prompt, sample=sample)}?by={by}")
    seen = [(prompt, sample)]
    for number in range(1, len(rows)):
        assert tab.get_by_text(f"{number} of {len(rows)}", exact=True).count() == 1
        tab.keyboard.press("j")
        tab.get_by_text(f"{number + 1} of {len(rows)}", exact=True).wait_for()
        seen.append(re.search(r"prompt/([^/]+)/sample/(\d+)\?by", tab.url).groups())  # type: ignore[union-attr]
    assert [(prompt, int(sample)) for prompt, sample in seen] == rows
    assert tab.get_by_role("link", name="next").count() == 0
    tab.keyboard.press("k")
    tab.get_by_text(f"{len(rows) - 1} of {len(rows)}", exact=True).wait_for()


def test_white_space_is_shown_when_asked_for(opened: dict[str, Any], tab: Any) -> None:
    assert "·" not in tab.get_by_role("listbox").inner_text()
    tab.keyboard.press("w")
    assert "·" in tab.get_by_role("listbox").inner_text()


def test_the_table_leads_to_a_rollout(run: ViewedRun, url: str, tab: Any) -> None:
    show(tab, f"{url}#/rollouts?round=1&outcome=failure")
    rows = run.ask(f"SELECT * {ROWS} WHERE NOT success ORDER BY disagreement DESC")
    told = [line.split("\t") for line in tab.locator("tbody tr").all_inner_texts()]
    assert [float(cells[6]) for cells in told] == [pytest.approx(row["disagreement"], abs=5.1e-4) for row in rows]
    tab.locator("tbody tr").first.get_by_role("link").press("Enter")
    tab.get_by_role("heading", level=1, name=f"Reply {told[0][1]} to {rows[0]['prompt_id']}").wait_for()


def test_the_table_is_searched_and_goes_by_round(run: ViewedRun, url: str, tab: Any) -> None:
    show(tab, f"{url}#/rollouts")
    assert tab.get_by_role("heading", level=1).inner_text() == "Rollouts of round 1"
    tab.keyboard.press("[")
    tab.get_by_role("heading", level=1, name="Rollouts of round 0").wait_for()
    tab.get_by_label("only").select_option("alone")
    alone = run.ask("SELECT count(*) AS num FROM episodes WHERE round = 0 AND NOT distill")[0]["num"]
    tab.get_by_text(f"{alone} of 8", exact=True).wait_for()


Changes = dict[str, Callable[[dict[str, Any]], dict[str, Any]]]


def page_of(folder: Path, tables: tuple[str, ...], changes: Changes) -> str:
    run = RunFolder.create(folder / "run", {"settings": parse_settings({}).model_dump(mode="json")})
    for table in tables:
        change = changes.get(table, lambda row: row)
        commit(run, table, [change(row) for row in make_rows(table, "run")])
    return write_report([run], folder / "report.html").as_uri()


def test_what_is_not_scored_is_shown_and_said(tmp_path: Path, tab: Any) -> None:
    url = page_of(tmp_path, ("prompts", "rollouts", "verdicts"), {})
    show(tab, url + address(ROLLOUT, round=0, prompt="a", sample=0))
    assert options(tab).count() == 3
    assert tab.get_by_text("Not scored: the run has not come so far").count() == 1
    assert tab.get_by_text("no loss: not scored").count() == 1
    options(tab).nth(1).hover()
    assert panel(tab).get_by_role("row", name="as sampled").inner_text().split("\t")[1] == "−0.5"


class Words:
    """A tokenizer whose tokens are bytes, and one that ends a reply."""

    parts = (*(bytes([byte]) for byte in "日".encode()), "שלום ".encode(), b"a\n", b" b", "\u202ec".encode(), b"<end>")
    texts = tuple(part.decode(errors="replace") for part in parts)

    def decode(self, ids: list[int]) -> str:
        return b"".join(self.parts[number] for number in ids).decode(errors="replace")

    def get_added_tokens_decoder(self) -> dict[int, Any]:
        return {len(self.parts) - 1: SimpleNamespace(special=True)}


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Words:
    """What every run's tokenizer is."""
    words = Words()
    monkeypatch.setattr("flows.viewer.documents.viewed.token_texts", lambda folder: list(words.texts))
    monkeypatch.setattr("flows.viewer.documents.viewed.find_tokenizer", lambda folder: words)
    return words


def reply_of(ids: list[int]) -> Changes:
    """Rollouts and scores of a reply; the teacher makes its tokens likelier and less likely by turns."""
    student = np.full(len(ids), -2.0, np.float32)
    teacher = student + np.where(np.arange(len(ids)) % 2, 1.5, -1.5).astype(np.float32)
    said = {"token_ids": np.array(ids, np.int32), "behavior_logprobs": student}
    none = dict.fromkeys(("support_ids", "support_teacher_logprobs", "support_student_logprobs"))
    scored = {**said, **none, "proximal_logprobs": student, "teacher_logprobs": teacher}
    return {"rollouts": lambda row: row | said, "scores": lambda row: row | scored}


def test_parts_of_a_character_are_one_piece_and_what_would_hide_is_seen(words: Words, tmp_path: Path, tab: Any) -> None:
    changes = reply_of(list(range(len(words.parts))))
    url = page_of(tmp_path, ("prompts", "rollouts", "verdicts", "contexts", "scores"), changes)
    show(tab, url + address(ROLLOUT, round=0, prompt="a", sample=0))
    assert options(tab).all_inner_texts() == ["日", "שלום ", "a\n", " b", "U+202Ec", "<end>"]
    options(tab).first.click()
    tab.keyboard.press("ArrowRight")
    assert "part 2 of 日" in panel(tab).inner_text()
    assert tab.locator("#token-0").get_attribute("class") == "token down-2"  # -1.5 + 1.5 - 1.5
    assert tab.locator("#token-3").get_attribute("class") == "token up-2"
    assert tab.locator("#token-7").get_attribute("class") == "token up-2 special"
    tab.keyboard.press("w")
    assert options(tab).all_inner_texts()[1:4] == ["שלום·", "a⏎\n", "·b"]
    assert "No distributions: distill needs no distributions here" in panel(tab).inner_text()


def test_a_long_reply_is_shown_in_part_at_first(words: Words, tmp_path: Path, tab: Any) -> None:
    url = page_of(tmp_path, ("prompts", "rollouts", "verdicts", "contexts", "scores"), reply_of([4, 5] * 2500))
    show(tab, url + address(ROLLOUT, round=0, prompt="a", sample=0))
    assert options(tab).count() == 3000
    tab.get_by_role("button", name="show all 5,000 tokens").click()
    assert options(tab).count() == 5000
    assert tab.get_by_role("button", name="show all").count() == 0
    show(tab, f"{url}{address(ROLLOUT, round=0, prompt='a', sample=1)}?token=4000")
    assert "token 4,001 of 5,000" in panel(tab).inner_text()
    assert options(tab).count() == 4001
    tab.keyboard.press("ArrowRight")
    assert options(tab).count() == 5000


def test_an_empty_reply_is_said_to_be_one(tmp_path: Path, tab: Any) -> None:
    none = np.zeros(0, np.float32)
    empty = {"token_ids": none.astype(np.int32), "behavior_logprobs": none, "text": ""}
    url = page_of(tmp_path, ("prompts", "rollouts"), {"rollouts": lambda row: row | empty})
    show(tab, url + address(ROLLOUT, round=0, prompt="a", sample=0))
    assert tab.get_by_text("It is empty: it has no tokens.").count() == 1
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("m")


def test_a_rollout_that_is_not_there_is_said_to_be_missing(url: str, tab: Any) -> None:
    show(tab, url + address(ROLLOUT, round=1, prompt="nobody", sample=0))
    assert tab.get_by_text("has no such rollout of prompt nobody").count() == 1


def test_a_phone_has_tokens_and_what_is_known_of_them_together(url: str, opened: dict[str, Any], tab: Any) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    options(tab).nth(3).click()
    tokens, known = tab.get_by_role("listbox").bounding_box(), panel(tab).bounding_box()
    assert tokens["width"] <= 390 and known["y"] >= tokens["y"] + tokens["height"]
    assert "token 4 of" in panel(tab).inner_text()
