"""What people see while a search runs."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autometa.search.display import (
    LEVELS,
    JsonDisplay,
    LiveDisplay,
    PlainDisplay,
    QuietDisplay,
    clock,
    live_lines,
    make_watcher,
    sparkline,
)
from autometa.search.status import Status
from autometa.tables.findings import Finding

HISTORY = ((3.0, 0.90), (10.0, 0.92), (30.0, 0.94))
STATUS = Status(
    phase="searching",
    elapsed=60.0,
    limit=120.0,
    trials=None,
    metric="auc",
    best=0.94,
    history=HISTORY,
    done=41,
    pruned=5,
    failed=2,
    running=("42 catboost fold 3/5", "43 network fold 1/5"),
)
LEAK = Finding("leak", "column 'x\x1b[2J\ny' determines the target", ("x",))


@pytest.fixture(autouse=True)
def a_terminal(monkeypatch) -> None:
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(Terminal):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_the_stream_and_the_options_choose(monkeypatch) -> None:
    assert isinstance(make_watcher(quiet=False, json=False, stream=Terminal()), LiveDisplay)
    assert isinstance(make_watcher(quiet=False, json=False, stream=io.StringIO()), PlainDisplay)
    assert isinstance(make_watcher(quiet=False, json=True, stream=Terminal()), JsonDisplay)
    assert isinstance(make_watcher(quiet=True, json=True, stream=Terminal()), QuietDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_watcher(quiet=False, json=False, stream=Terminal()), PlainDisplay)


def test_quiet_shows_nothing(capsys) -> None:
    watcher = QuietDisplay()
    watcher.update(STATUS)
    watcher.say("x")
    watcher.warn(LEAK)
    watcher.close()
    assert capsys.readouterr() == ("", "")


def test_plain_lines_say_all_of_it() -> None:
    stream = io.StringIO()
    watcher = PlainDisplay(stream)
    watcher.say("census.csv: 10 rows")
    watcher.warn(LEAK)
    watcher.update(STATUS)
    watcher.close()
    assert stream.getvalue().splitlines() == [
        "census.csv: 10 rows",
        "warning: column 'x [2J y' determines the target (leak)",
        " 1:00 searching: auc 0.94, 43 trials (2 failed, 5 stopped early), 1:00 left",
    ]


def test_plain_lines_come_at_a_bounded_rate() -> None:
    stream = io.StringIO()
    watcher = PlainDisplay(stream)
    for tick in range(4 * 600):
        # A better score four times a second, all the time.
        watcher.update(replace(STATUS, elapsed=tick / 4, limit=600.0, best=tick / 1e4))
    assert 200 < len(stream.getvalue().splitlines()) <= 301
    stream.truncate(0)
    for tick in range(4 * 600):
        watcher.update(replace(STATUS, elapsed=600 + tick / 4, limit=1200.0))
    assert 15 < len(stream.getvalue().splitlines()) <= 60


def test_plain_lines_show_each_phase() -> None:
    stream = io.StringIO()
    watcher = PlainDisplay(stream)
    for i, phase in enumerate(["reading", "searching", "refitting", "finishing", "done"]):
        watcher.update(replace(STATUS, phase=phase, elapsed=i / 10, best=None, trials=30, limit=None))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[1] == " 0:00 searching: 43 of 30 trials (2 failed, 5 stopped early), 0:00 so far"


def test_json_lines_can_be_read_back() -> None:
    stream = io.StringIO()
    watcher = JsonDisplay(stream)
    watcher.say("hello")
    watcher.warn(LEAK)
    watcher.update(STATUS)
    watcher.update(STATUS)
    watcher.close()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [e["event"] for e in events] == ["message", "warning", "progress"]
    assert events[1]["code"] == "leak"
    assert events[2]["best"] == 0.94
    assert events[2]["running"][0] == "42 catboost fold 3/5"


@pytest.mark.parametrize("width", [1, 5, 13, 24, 40, 80, 200])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_live_lines_fit_every_terminal(width, ascii_only) -> None:
    many = replace(STATUS, running=tuple(f"{i} nearest_neighbours fold 1/5" for i in range(64)), metric="neg_" * 20)
    for status in (STATUS, many, replace(STATUS, best=None, history=(), limit=None, running=())):
        lines = live_lines(status, width=width, ascii_only=ascii_only)
        assert len(lines) <= 9
        assert all(line.cell_len <= max(1, width - 1) for line in lines)
        assert not ascii_only or all(line.plain.isascii() for line in lines)


def test_live_lines_say_all_of_it() -> None:
    text = "\n".join(line.plain for line in live_lines(STATUS, width=100, ascii_only=False))
    for part in ("searching", "1:00 left", "AUC", "0.94", "43 trials (2 failed, 5 stopped early)", "42 catboost"):
        assert part in text
    assert text.count("━") == text.count("─") == 23


def test_the_live_display_goes_when_the_search_ends() -> None:
    stream = Terminal()
    watcher = LiveDisplay(stream)
    watcher.update(STATUS)
    watcher.warn(LEAK)
    watcher.say("a message")
    watcher.close()
    watcher.close()
    shown = stream.getvalue()
    assert "searching" in shown
    assert "column 'x [2J y' determines the target" in shown
    assert "\x1b[2J" not in shown
    assert shown.index("\x1b[?25l") < shown.rindex("\x1b[?25h")


def test_a_display_nobody_reads_does_not_stop_the_search() -> None:
    gone = Gone()
    for watcher in (PlainDisplay(gone), JsonDisplay(gone), LiveDisplay(gone)):
        watcher.say("x")
        watcher.update(STATUS)
        watcher.warn(LEAK)
        watcher.close()


def test_names_outside_the_encoding_are_spelled_out() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    PlainDisplay(stream).say("größe")
    assert raw.getvalue() == b"gr\\xf6\\xdfe\n"


def test_the_sparkline_follows_the_score() -> None:
    assert sparkline(HISTORY, 30.0, width=4) == f"{LEVELS[0]}{LEVELS[4]}{LEVELS[4]}{LEVELS[7]}"
    assert sparkline(HISTORY[:1], 30.0, width=3) == LEVELS[0] * 3
    assert sparkline(HISTORY, 3.0, width=2)[-1] == LEVELS[0]


@pytest.mark.parametrize(
    ("seconds", "said"), [(-3, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (754, "12:34"), (3_723, "1:02:03")]
)
def test_clock(seconds, said) -> None:
    assert clock(seconds) == said


def test_the_live_display_costs_little() -> None:
    stream = Terminal()
    watcher = LiveDisplay(stream)
    begun, busy = time.monotonic(), time.process_time()
    while time.monotonic() - begun < 1.5:
        watcher.update(STATUS)
        time.sleep(0.25)
    share = (time.process_time() - busy) / (time.monotonic() - begun)
    watcher.close()
    # Typically .004; the bound leaves room for a busy machine.
    assert share < 0.02


def test_rich_is_not_loaded_for_plain_lines() -> None:
    code = (
        "import io, sys\n"
        "from autometa.search.display import make_watcher\n"
        "make_watcher(quiet=False, json=False, stream=io.StringIO()).say('x')\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('rich', 'torch', 'pandas', 'optuna')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
