"""The report: whole, safe and small, whatever the run folder holds."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_folders import make_data, make_run

from autometa.errors import RunError
from autometa.search.report import words, write_report
from autometa.search.report.charts import axis, log_axis, time_axis
from autometa.search.run_folder import RunFolder

VOID = {"meta", "br", "link", "img", "input", "hr"}
SECTIONS = {"progress", "ensemble", "board", "importance", "data", "notes", "settings"}


class Page(HTMLParser):
    """Collects what the tests ask about, and holds tags to be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


def report(folder: RunFolder) -> tuple[str, Page]:
    html = write_report(folder).read_text(encoding="utf-8")
    return html, Page(html)


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("binary", {"classes", "probabilities"}),
        ("multiclass", {"classes", "probabilities"}),
        ("regression", {"numbers"}),
    ],
)
def test_every_part_is_there(tmp_path, kind, parts) -> None:
    folder = make_run(tmp_path / "run", kind)
    folder.model.mkdir()
    (folder.model / "model.json").write_text("{}")
    html, page = report(folder)
    assert set(page.ids) - {"tip", "confusion"} == SECTIONS | parts | {"use"}
    assert "Left out" not in page.text
    assert len(html) < 200_000
    scores = json.loads(folder.metrics.read_text())
    assert words.score(scores["validation_score"]) in page.text
    assert words.score(scores["test_score"]) in page.text
    assert "nan" not in re.sub(r"<script.*?</script>|<style.*?</style>", "", html, flags=re.DOTALL).lower()


def test_the_page_needs_nothing_from_outside(tmp_path) -> None:
    html, page = report(make_run(tmp_path / "run"))
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert not {"src", "srcset"} & {name for name, _ in page.attributes}
    assert page.tags.count("script") == 1
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_charts_are_told_to_those_who_do_not_see_them(tmp_path) -> None:
    html, _ = report(make_run(tmp_path / "run"))
    for tag in re.findall(r"<svg[^>]*>", html):
        assert 'role="img"' in tag
        assert re.search(r'aria-label="[^"]+"', tag)


EVIL = "<script>alert(1)</script>"
QUOTES = "\" onmouseover='alert(2)' x=\""


def test_names_are_shown_and_never_run(tmp_path) -> None:
    data = make_data("binary", rows=300)
    classes = (EVIL, "</title></style>" + QUOTES)
    table = type(data.table)(data.table.features, data.table.target, classes)
    data.table, data.target = table, EVIL
    data.frame = data.frame.drop(columns="income").assign(
        **{
            EVIL: np.array(classes)[table.target],
            QUOTES: "{{ 7 * 7 }}",
            "long " * 2_000: 1.0,
            "new\nline": [EVIL] * 300,
        }
    )
    findings = [{"code": EVIL, "message": EVIL, "columns": [EVIL]}, {"code": "leak", "message": QUOTES}]
    folder = make_run(tmp_path / "a run's <b>folder</b>", data=data, findings=findings)
    board = folder.leaderboard.read_text().replace("portfolio: catboost", EVIL).replace("ValueError", EVIL)
    folder.leaderboard.write_text(board)
    html, page = report(folder)
    assert EVIL not in html
    assert page.tags.count("script") == 1
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "{{ 7 * 7 }}" in page.text
    assert EVIL in page.text
    assert len(html) < 200_000


def test_many_columns_classes_and_trials_stay_small(tmp_path) -> None:
    data = make_data("multiclass", rows=1_500, classes=1_000, columns=200)
    html, page = report(make_run(tmp_path / "run", data=data, trials=2_000))
    assert len(html.encode()) < 2_000_000
    assert "1,700 more are in leaderboard.csv" in page.text
    assert "981 other classes" in page.text
    assert "sensor_199" in page.text


def test_a_run_of_three_trials(tmp_path) -> None:
    _, page = report(make_run(tmp_path / "run", trials=3))
    assert "3configs tried" in page.text.replace("\n", "")


@pytest.mark.parametrize("phase", ["new", "running"])
def test_an_unfinished_run_says_so(tmp_path, phase) -> None:
    folder = make_run(tmp_path / "run", phase=phase)
    folder.work.mkdir()
    _, page = report(folder)
    assert "This search is not over" in page.text
    assert f"autometa resume {folder.path}" in page.text
    assert ("progress" in page.ids) == (phase == "running")
    assert "Left out" not in page.text


def test_scores_that_are_no_numbers(tmp_path) -> None:
    folder = make_run(tmp_path / "run", trials=8)
    scores = json.loads(folder.metrics.read_text())
    scores |= {"validation_score": float("nan"), "history": [[1.0, float("nan")], None, [2.0]], "seconds": None}
    folder.metrics.write_text(json.dumps(scores))
    folder.leaderboard.write_text(re.sub(r"0\.9\d+", "nan", folder.leaderboard.read_text()))
    _, page = report(folder)
    assert "no score yet" in page.text


@pytest.mark.parametrize("name", ["report.json", "metrics.json", "leaderboard.csv"])
@pytest.mark.parametrize(
    "content", [b"", b'{"con', b"[1, 2]", b"\xff\xfe\x00"], ids=["empty", "torn", "list", "binary"]
)
def test_damaged_files_cost_only_their_part(tmp_path, name, content) -> None:
    folder = make_run(tmp_path / "run", trials=5)
    (folder.path / name).write_bytes(content)
    _, page = report(folder)
    assert "Predicting income" in page.text


def test_evidence_of_another_shape_costs_only_its_part(tmp_path) -> None:
    folder = make_run(tmp_path / "run", trials=5)
    content = json.loads((folder.path / "report.json").read_text())
    content |= {"confusion": {"classes": [1], "counts": "?"}, "importance": {"columns": [{"name": 3}]}, "data": []}
    folder.write_json(folder.path / "report.json", content)
    _, page = report(folder)
    assert "Left out" in page.text
    assert "probabilities" in page.ids
    assert "classes" not in page.ids


def test_without_run_json_there_is_no_report(tmp_path) -> None:
    with pytest.raises(RunError):
        write_report(RunFolder(tmp_path))


def test_a_search_worse_than_guessing_says_so(tmp_path) -> None:
    folder = make_run(tmp_path / "run", trials=5)
    folder.write_json(folder.metrics, json.loads(folder.metrics.read_text()) | {"validation_score": 0.48})
    _, page = report(folder)
    assert "No better than guessing" in page.text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.93124, "0.9312"),
        (31_204.4, "31,204"),
        (-0.5, "−0.5000"),
        (12.3456, "12.35"),
        (float("nan"), "–"),
        (None, "–"),
        ("?", "–"),
        (3.2e-7, "3.2e-07"),
        (0.0, "0.0000"),
    ],
)
def test_scores_are_written(value, said) -> None:
    assert words.score(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(4.21, "4.2 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3_600, "1 h"), (5_400, "1 h 30 min")]
)
def test_durations_are_written(value, said) -> None:
    assert words.duration(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0.5, "50%"), (0.004, "0.4%"), (0.00001, "<0.1%"), (0.9999, ">99.9%"), (1, "100%"), (0, "0%")]
)
def test_shares_are_written(value, said) -> None:
    assert words.percent(value) == said


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.91, 0.943), (-3e5, 2e9), (5, 5), (0, 0), (1e-12, 3e-12)])
def test_ticks_are_few_and_inside(low, high) -> None:
    made = axis(low, high)
    assert 2 <= len(made.ticks) <= 8
    assert all(made.low - 1e-9 * abs(made.low) <= v <= made.high * (1 + 1e-9) + 1e-9 for v, _ in made.ticks)
    assert len({label for _, label in made.ticks}) == len(made.ticks)


def test_ticks_of_time_and_of_sizes() -> None:
    assert [label for _, label in time_axis(55).ticks] == ["0", "10 s", "20 s", "30 s", "40 s", "50 s"]
    assert [label for _, label in time_axis(1_776).ticks] == ["0", "5 min", "10 min", "15 min", "20 min", "25 min"]
    assert [label for _, label in time_axis(30_000).ticks] == ["0", "2 h", "4 h", "6 h", "8 h"]
    assert [label for _, label in log_axis(np.log(30), np.log(30_000)).ticks] == ["100", "1,000", "10,000"]


def test_the_files_of_the_report_travel_with_the_package() -> None:
    here = Path(__file__).parents[1] / "autometa" / "search" / "report"
    assert {p.name for p in here.iterdir()} >= {"report.html.j2", "report.css", "report.js"}


def test_missing_frame_columns_do_not_matter(tmp_path) -> None:
    data = make_data("regression", rows=50)
    data.frame = pd.DataFrame({"price": data.frame["price"]})
    _, page = report(make_run(tmp_path / "run", data=data, trials=4))
    assert "data" not in page.ids
    assert "numbers" in page.ids


def test_a_run_that_ended_without_evidence_is_over(tmp_path) -> None:
    _, page = report(make_run(tmp_path / "run", evidence=False))
    assert "This search is not over" not in page.text
    assert "progress" in page.ids


def test_importance_says_when_there_was_no_time(tmp_path) -> None:
    folder = make_run(tmp_path / "run", trials=5)
    content = json.loads(folder.evidence.read_text())
    content["importance"] = {"columns": [], "done": 0, "total": 6, "rows": 0, "repeats": 0}
    folder.write_json(folder.evidence, content)
    _, page = report(folder)
    assert "No time was left to measure it" in page.text


def test_trials_without_times_leave_the_line(tmp_path) -> None:
    folder = make_run(tmp_path / "run", trials=9)
    table = pd.read_csv(folder.leaderboard).drop(columns="elapsed")
    table.to_csv(folder.leaderboard, index=False)
    _, page = report(folder)
    assert "Each dot" not in page.text
    assert "progress" in page.ids
