"""Tables on terminals, pages and in CSV; figures of whatever estimates there are; the files of a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.report.figure import Figure, Mark, Panel, Series
from flows.report.report import Report, read_reports
from flows.report.table import Column, Table, with_difference
from mopd.errors import InputError
from mopd.measures.estimate import UNDEFINED, Estimate

SURE, ONE_PROMPT = Estimate(0.5, 0.25, 0.75, 8), Estimate(0.125, None, None, 1, 7)
TABLE = Table(
    [
        Column("arm"),
        Column("mean", "mean, %", ".1f", 100),
        Column("difference", "minus a", "+z.2f", counted=True),
        Column("second", "minus a", ".3f"),
        Column("share", form=".1f", scale=100, unit=" %"),
        Column("tokens"),
        Column("nulls", optional=True),
    ],
    [
        {
            "arm": "a",
            "mean": SURE,
            "difference": UNDEFINED,
            "second": UNDEFINED,
            "share": 0.5,
            "tokens": 1234,
        },
        {"arm": "b|c", "mean": ONE_PROMPT, "difference": ONE_PROMPT, "second": SURE, "nulls": 0},
    ],
    title="by arm",
)


def test_a_terminal_has_aligned_columns() -> None:
    assert TABLE.terminal().splitlines() == [
        "by arm",
        "arm            mean, %    minus a               minus a   share  tokens",
        "---  -----------------  ---------  --------------------  ------  ------",
        "a    50.0 [25.0, 75.0]          -                     -  50.0 %   1,234",
        "b|c               12.5  +0.12 n=1  0.500 [0.250, 0.750]       -       -",
    ]


def test_a_page_has_pipes() -> None:
    assert TABLE.markdown().splitlines() == [
        "## By arm",
        "",
        "| arm | mean, % | minus a | minus a | share | tokens |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | 50.0 [25.0, 75.0] | - | - | 50.0 % | 1234 |",
        "| b\\|c | 12.5 | +0.12 n=1 | 0.500 [0.250, 0.750] | - | - |",
    ]


def test_csv_has_all_in_full_and_the_ends_beside_their_estimate() -> None:
    head, first, second = TABLE.csv().splitlines()
    assert head == (
        "arm,mean,mean_low,mean_high,difference,difference_low,difference_high,second,second_low,second_high,"
        "share,tokens,nulls"
    )
    assert first == "a,0.5,0.25,0.75,,,,,,,0.5,1234,"
    assert second == "b|c,0.125,,,0.125,,,0.5,0.25,0.75,,,0"


def test_a_difference_stands_beside_its_value() -> None:
    column = Column("mean", "mean, %", ".1f", 100)
    assert with_difference(column, None) == [column]
    assert with_difference(column, "a") == [column, Column("mean_difference", "minus a", "+.1f", 100)]


def test_columns_that_hold_nothing_are_left_out_where_they_may_be() -> None:
    filled = Table(TABLE.columns, [{**TABLE.rows[0], "nulls": 2}])
    assert [column.key for column in filled.shown_columns][-1] == "nulls"
    assert "nulls" not in TABLE.shown()[0]


def test_a_table_without_rows_keeps_its_headings() -> None:
    empty = Table([Column("arm"), Column("mean")], [])
    assert empty.terminal() == "arm  mean\n---  ----"
    assert empty.markdown() == "| arm | mean |\n| --- | --- |"
    assert Table.of([]).csv() == "\n"


def figure(*series: Series, horizontal: bool = False) -> Figure:
    marks = [Mark(0.5, "chance", dash=(4, 3))]
    return Figure("numbers", "Numbers", [[Panel(series, {0: "a", 1: "b"}, marks=marks)]], (4, 3), horizontal=horizontal)


@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize(
    "estimate",
    [SURE, ONE_PROMPT, UNDEFINED, Estimate(0.3, 0.4, 0.5, 3), Estimate(0.6, 0.4, 0.5, 3)],
    ids=["interval", "one prompt", "undefined", "below its interval", "above its interval"],
)
def test_every_estimate_is_drawn(estimate: Estimate, horizontal: bool) -> None:
    """A percentile interval of few draws may leave its mean outside."""
    picture = figure(Series("x", [(0, estimate)]), Series("y", [(1, SURE)]), horizontal=horizontal)
    assert picture.png().startswith(b"\x89PNG")


def test_a_figure_of_nothing_is_drawn() -> None:
    assert figure().png().startswith(b"\x89PNG")


REPORT = Report(
    title="a against b",
    parts=["How.", TABLE, "", figure(Series("x", [(0, SURE)]))],
    brief=[TABLE, "How."],
    numbers=TABLE,
)


def test_a_report_is_a_page_a_table_and_a_picture(tmp_path: Path) -> None:
    assert REPORT.write(tmp_path) == "results.md, results.csv, results.json, plot.png"
    assert (tmp_path / "results.md").read_text() == REPORT.page()
    assert REPORT.page() == f"# a against b\n\nHow.\n\n{TABLE.markdown()}\n\n![numbers](plot.png)\n"
    assert REPORT.terminal() == f"{TABLE.terminal()}\n\nHow."
    assert [one.name for one in REPORT.figures] == ["plot.png"]


def test_a_report_is_read_back_as_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    assert read_reports(tmp_path) == []
    REPORT.write(tmp_path)
    assert read_reports(tmp_path) == [REPORT.document()]
    text, table, picture = REPORT.document()["parts"]
    assert text == {"text": "How."}
    assert picture == {"figure": REPORT.figures[0].specification(), "alt": "numbers"}
    assert table["table"] == {
        "title": "by arm",
        "columns": ["arm", "mean, %", "minus a", "minus a", "share", "tokens"],
        "rows": [
            ["a", {"shown": "50.0 [25.0, 75.0]", "value": 0.5}, None, None, {"shown": "50.0 %", "value": 0.5}, 1234],
            [
                "b|c",
                {"shown": "12.5", "value": 0.125},
                {"shown": "+0.12 n=1", "value": 0.125},
                {"shown": "0.500 [0.250, 0.750]", "value": 0.5},
                None,
                None,
            ],
        ],
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [('{"format": "mopd-measure 1", "par', "damaged"), ('{"format": "mopd-measure 0"}', "another version of mopd")],
)
def test_a_report_that_cant_be_read_is_named(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError, match=f"results.json: is .*{why}"):
        read_reports(tmp_path)


def test_the_prefect_ui_is_shown_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("prefect.artifacts.create_markdown_artifact", lambda **given: shown.append(given))
    REPORT.publish("mopd-eval", "two models")
    REPORT.publish("mopd-eval", "two models", [TABLE])
    assert [one["markdown"] for one in shown] == [
        f"# a against b\n\nHow.\n\n{TABLE.markdown()}\n",
        f"{TABLE.markdown()}\n",
    ]
    assert (shown[0]["key"], shown[0]["description"]) == ("mopd-eval", "two models")
