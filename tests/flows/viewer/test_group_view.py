"""A group on the page: its replies, who was shown to whom, and other groups beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from flows.viewer.file import write_report
from storage.runs import RunFolder
from tests.flows.viewer.group_samples import make_groups
from tests.storage.storage_samples import PEER, columns_of, commit, make_rows

pytestmark = pytest.mark.browser

ODD = "a/b c?&#%/é"
OUTCOMES = {0: {ODD: [False, True, None], "z": [True]}, 1: {ODD: [True, True, False]}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = make_groups(tmp_path_factory.mktemp("group") / "run", OUTCOMES)
    elsewhere = PEER | {"role": "unrelated", "prompt_id": "z", "sample": 0}
    solution = PEER | {"role": "reference", "prompt_id": ODD, "sample": None}
    row = {"run": folder.run_id, "round": 0, "prompt_id": ODD, "sample": 0, **columns_of("contexts")}
    commit(folder, "contexts", [row | {"peers": [solution, elsewhere]}], name="control")
    return folder


@pytest.fixture(scope="module")
def url(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report([run], tmp_path_factory.mktemp("page") / "report.html").as_uri()


def address(round: int, prompt: str) -> str:
    return f"#/round/{round}/prompt/{quote(prompt, safe='')}"


@pytest.fixture
def group(tab: Any, url: str) -> Any:
    tab.goto(url + address(0, ODD))
    tab.locator(".reply").nth(2).wait_for()
    return tab


def heading(tab: Any, round: int, prompt: str) -> None:
    tab.get_by_role("heading", level=1, name=f"Prompt {prompt}, round {round}").wait_for()


def replies(tab: Any, place: str = "main") -> list[str]:
    return tab.locator(f"{place} .reply-link").all_text_contents()  # type: ignore[no-any-return]


def test_the_prompt_and_its_replies(group: Any) -> None:
    messages = group.get_by_role("region", name="The prompt").locator(".turn")
    messages.nth(1).wait_for()
    assert messages.all_text_contents() == ["systemBe kind.", f"userHow much is {ODD}?"]
    assert group.get_by_text("1 of 2 judged replies succeed, 1 without a verdict.").is_visible()
    cards = [card.inner_text() for card in group.locator(".reply").all()]
    assert "✗ failure" in cards[0] and "✓ success" in cards[1] and "? no verdict" in cards[2]
    assert f"Reply 1 to {ODD}." in cards[1]
    for line in (
        "prediction\n15",
        "length\n2 tokens, stop",
        "teacher − student\n+0.250 nats a token",
        "advantage\n+0.5",
    ):
        assert line in cards[1]
    assert "it hung" in cards[2]
    assert "its teacher was shown: the prompt alone, no peer" in cards[0]
    assert "its teacher was shown: a correct reply, reply 0" in cards[1]


def test_order_and_filter(group: Any) -> None:
    assert replies(group) == ["reply 0", "reply 1", "reply 2"]
    group.keyboard.press("o")
    assert replies(group) == ["reply 1", "reply 0", "reply 2"]
    group.get_by_role("combobox", name="order").select_option("teacher's liking")
    assert replies(group) == ["reply 2", "reply 1", "reply 0"]
    group.get_by_role("combobox", name="replies").select_option("failures")
    assert replies(group) == ["reply 0"]
    assert group.evaluate("location.hash").endswith("?order=teacher&only=failure")
    group.reload()
    group.locator(".reply").wait_for()
    assert replies(group) == ["reply 0"]


def test_keys_lead_to_other_groups(group: Any) -> None:
    group.keyboard.press("n")
    heading(group, 0, "z")
    group.keyboard.press("b")
    heading(group, 0, ODD)
    group.keyboard.press("]")
    heading(group, 1, ODD)
    group.keyboard.press("[")
    heading(group, 0, ODD)


def test_a_reply_is_opened_by_keys(group: Any) -> None:
    group.keyboard.press("j")
    group.keyboard.press("j")
    group.keyboard.press("Enter")
    group.wait_for_url(lambda url: url.endswith("/sample/1"))


def test_the_graph(group: Any) -> None:
    nodes = group.locator(".ring a.node")
    assert sorted(node.get_attribute("aria-label") for node in nodes.all()) == [
        "reply 0, failure · shown to the teachers of reply 1, success as a correct reply; "
        "reply 2, no verdict as a correct reply",
        "reply 1, success · its teacher was shown reply 0, failure as a correct reply",
        "reply 2, no verdict · its teacher was shown reply 0, failure as a correct reply",
    ]
    assert group.locator(".ring[role=group] .arrow").count() == 2
    group.get_by_role("link", name="reply 1, success ·").focus()
    assert group.locator(".ring .arrow.on").count() == 1
    assert (
        group.locator(".peer-graph [role=status]")
        .inner_text()
        .startswith("reply 1, success · its teacher was shown reply 0")
    )
    group.get_by_text("As a table").click()
    table = [row.inner_text().split("\t") for row in group.locator(".peer-graph tbody tr").all()]
    assert table == [
        ["reply 0", "failure", "no peer"],
        ["reply 1", "success", "a correct reply, reply 0"],
        ["reply 2", "no verdict", "a correct reply, reply 0"],
    ]
    group.get_by_role("link", name="reply 1, success ·").press("Enter")
    group.wait_for_url(lambda url: url.endswith("/sample/1"))


def test_peers_from_elsewhere_under_another_condition(group: Any) -> None:
    group.get_by_role("combobox", name="shown under").select_option("control")
    assert group.locator(".node.foreign").evaluate_all("nodes => nodes.map(node => node.tagName)") == ["g", "a"]
    shown = "the task's own solution; a correct reply to another question, reply 0 to z"
    assert f"its teacher was shown: {shown}" in group.locator(".reply").first.inner_text()
    assert group.get_by_text("No scores: the run has not come so far, or has none under this condition.").is_visible()
    group.get_by_role("link", name="reply 0 to z").click()
    group.wait_for_url(lambda url: url.endswith("#/round/0/prompt/z/sample/0"))


def test_the_same_prompt_in_another_round_beside_it(group: Any) -> None:
    group.get_by_role("combobox", name="Round to stand beside").select_option("round 1: 2 of 3")
    group.get_by_role("heading", level=2, name="Round 1").wait_for()
    assert replies(group, ".two-groups > div:first-child") == replies(group, ".two-groups > div:last-child")
    assert group.get_by_text("2 of 3 judged replies succeed.").is_visible()
    assert group.evaluate("location.hash").endswith("?with=1")
    group.get_by_role("combobox", name="Round to stand beside").select_option("nothing")
    group.locator(".two-groups").wait_for(state="detached")


def test_the_same_prompt_in_another_run_beside_it(run: RunFolder, tmp_path: Path, tab: Any) -> None:
    other = make_groups(tmp_path / "other", {4: {ODD: [True]}})
    tab.goto(write_report([run, other], tmp_path / "report.html").as_uri() + f"#/run/run/{address(0, ODD)[2:]}")
    tab.get_by_role("combobox", name="Run to stand beside").select_option("other")
    tab.get_by_role("combobox", name="Round to stand beside").select_option("round 4: 1 of 1")
    tab.get_by_role("heading", level=2, name="Round 4 of other").wait_for()
    assert replies(tab, ".two-groups > div:last-child") == ["reply 0"]
    tab.reload()
    tab.get_by_role("heading", level=2, name="Round 4 of other").wait_for()
    tab.locator(".two-groups > div:last-child .reply-link").click()
    tab.wait_for_url(lambda url: "#/run/other/round/4/" in url)


def test_places_that_are_not_there(tab: Any, url: str) -> None:
    tab.goto(url + address(1, "z"))
    tab.get_by_text("Round 1 has no replies to prompt z.").wait_for()
    tab.get_by_role("link", name="round 0").click()
    heading(tab, 0, "z")


def test_stages_that_did_not_come_yet(tmp_path: Path, tab: Any) -> None:
    folder = make_groups(tmp_path / "run", {})
    commit(folder, "rollouts", make_rows("rollouts", folder.run_id, prompts=("a",), samples=1))
    url = write_report([folder], tmp_path / "report.html").as_uri()
    tab.goto(url + address(0, "a"))
    tab.get_by_text("No verdicts: the run has not come so far").wait_for()
    assert tab.locator(".reply .badge").inner_text() == "· not judged"


def test_on_a_phone_nothing_hangs_over(group: Any) -> None:
    group.set_viewport_size({"width": 390, "height": 844})
    group.get_by_role("combobox", name="Round to stand beside").select_option("round 1: 2 of 3")
    group.locator(".two-groups").wait_for()
    assert group.evaluate("document.documentElement.scrollWidth") == 390
