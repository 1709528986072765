"""What people see while a search runs: a live display, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import contextlib
import json as jsonlib
import math
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

    from autometa.search.status import Status, Watcher
    from autometa.tables.findings import Finding

REFRESHES = 2  # a second: the clock ticks smoothly and a render costs little
SHOWN_WORKERS = 4
LABEL = 12  # width of the labels before the lines of the live display
GAP = 2.0  # seconds between two plain lines at the least
PULSE = 10.0  # seconds between two plain lines where nothing improves, longer in long runs
LEVELS = "▁▂▃▄▅▆▇█"
ASCII_LEVELS = "_.-=+*#@"
METRICS = {"auc": "AUC", "log_loss": "log-loss", "rmse": "RMSE", "mae": "MAE", "r2": "R2", "f1": "F1"}


def make_watcher(*, quiet: bool, json: bool, stream: TextIO) -> Watcher:
    """The watcher for a stream, usually standard error: live on a terminal, else plain lines."""
    if quiet:
        return QuietDisplay()
    if json:
        return JsonDisplay(stream)
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return LiveDisplay(stream)
    return PlainDisplay(stream)


class QuietDisplay:
    """Shows nothing; errors are the command line's to show."""

    def update(self, status: Status) -> None:
        """Show nothing."""

    def say(self, message: str) -> None:
        """Show nothing."""

    def warn(self, finding: Finding) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing to close."""


class _Rate:
    """Says which statuses are worth a line: new phases, better scores, and now and then a pulse."""

    def __init__(self) -> None:
        self._phase, self._best = "", math.nan
        self._last = -math.inf

    def worth(self, status: Status) -> bool:
        since = status.elapsed - self._last
        improved = status.best is not None and status.best != self._best
        pulse = max(PULSE, status.elapsed / 30)
        if status.phase == self._phase and not (improved and since >= GAP) and since < pulse:
            return False
        self._phase, self._last = status.phase, status.elapsed
        self._best = math.nan if status.best is None else status.best
        return True


class _Sturdy:
    """A text stream that never fails: a terminal or log that went away must not end the search."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            try:
                return self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self.encoding
                return self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def line(self, text: str) -> None:
        self.write(text + "\n")
        self.flush()


class PlainDisplay:
    """One line now and then, for logs and pipes.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = _Sturdy(stream)
        self._rate = _Rate()

    def update(self, status: Status) -> None:
        """Write a line if there is news."""
        if self._rate.worth(status):
            self._stream.line(plain_line(status))

    def say(self, message: str) -> None:
        """Write the message."""
        self._stream.line(_clean(message))

    def warn(self, finding: Finding) -> None:
        """Write the warning with its name."""
        self._stream.line(f"warning: {_clean(finding.message)} ({finding.code})")

    def close(self) -> None:
        """Nothing to close."""


class JsonDisplay:
    """One JSON object a line, at the rate of the plain lines, for programs.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = _Sturdy(stream)
        self._rate = _Rate()

    def update(self, status: Status) -> None:
        """Write how far the search is, if there is news."""
        if self._rate.worth(status):
            names = ("phase", "elapsed", "limit", "trials", "metric", "best", "done", "pruned", "failed", "running")
            content = {name: getattr(status, name) for name in names}
            self._write("progress", content | {"elapsed": round(status.elapsed, 3)})

    def say(self, message: str) -> None:
        """Write the message."""
        self._write("message", {"message": message})

    def warn(self, finding: Finding) -> None:
        """Write the warning with its name and columns."""
        self._write("warning", vars(finding))

    def close(self) -> None:
        """Nothing to close."""

    def _write(self, event: str, content: dict[str, Any]) -> None:
        self._stream.line(jsonlib.dumps({"event": event, **content}))


class LiveDisplay:
    """A few lines at the bottom of a terminal that keep up with the search; they go when it ends.

    Args:
        stream: the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=cast("TextIO", _Sturdy(stream)), highlight=False, markup=False, emoji=False)
        self._status: Status | None = None
        self._received = 0.0
        # Results are printed on standard output when the display is gone, so that one is left alone.
        self._live = Live(
            self,
            console=self._console,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=False,
            vertical_overflow="crop",
        )

    def update(self, status: Status) -> None:
        """Take the status for the next refresh."""
        self._received = time.monotonic()
        self._status = status
        if not self._live.is_started:
            self._live.start()

    def say(self, message: str) -> None:
        """Print the message above the display."""
        self._console.print(_clean(message), style="dim")

    def warn(self, finding: Finding) -> None:
        """Print the warning with its name above the display."""
        from rich.padding import Padding
        from rich.text import Text

        text = Text.assemble((f"{finding.code} ", "bold yellow"), _clean(finding.message))
        self._console.print(Padding(text, (0, 0, 0, 2)))

    def close(self) -> None:
        """Take the display away."""
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._status is not None:
            waited = time.monotonic() - self._received
            status = replace(self._status, elapsed=self._status.elapsed + waited)
            yield from live_lines(status, width=options.max_width, ascii_only=options.ascii_only)


def live_lines(status: Status, *, width: int, ascii_only: bool) -> list[Text]:
    """The lines of the live display, none longer than the width: a label, then what it is about."""
    from rich.text import Text

    lines = [Text(), _labelled(status.phase, _progress(status, width - LABEL, ascii_only=ascii_only), "bold cyan")]
    if status.best is not None:
        lines.append(_labelled(_metric(status.metric), _score(status, width - LABEL, ascii_only=ascii_only)))
    if status.phase != "reading":
        lines.append(_labelled("tried", _counts(status)))
    working = [_clean(work) for work in status.running[:SHOWN_WORKERS]]
    if len(status.running) > SHOWN_WORKERS:
        working[-1] += f" and {len(status.running) - SHOWN_WORKERS} more"
    lines += [_labelled("" if i else "running", Text(work, "dim")) for i, work in enumerate(working)]
    for line in lines:
        line.no_wrap = True
        # One short of the edge, where some terminals would begin a new line.
        line.truncate(max(1, width - 1), overflow="crop" if ascii_only else "ellipsis")
    return lines


def _labelled(label: str, content: str | Text, style: str = "dim") -> Text:
    from rich.text import Text

    return Text.assemble((f"{label:<{LABEL - 1}} ", style), content)


def _progress(status: Status, width: int, *, ascii_only: bool) -> Text:
    from rich.text import Text

    line, share, left = Text(), _share(status), _left(status)
    room = min(46, width - len(left) - 3)
    if share is not None and room >= 8:
        full = round(share * room)
        line.append(("=" if ascii_only else "━") * full, "cyan")
        line.append(("-" if ascii_only else "─") * (room - full), "bright_black")
        line.append("  ")
    return line.append(left)


def _score(status: Status, width: int, *, ascii_only: bool) -> Text:
    from rich.text import Text

    line = Text(f"{status.best:.5g}", "bold")
    room = min(36, width - line.cell_len - 3)
    if len(status.history) > 1 and room >= 8:
        levels = ASCII_LEVELS if ascii_only else LEVELS
        marks = sparkline(status.history, status.elapsed, width=room, levels=levels)
        line = Text.assemble(line, "  ", (marks, "cyan"))
    return line


def plain_line(status: Status) -> str:
    """A status in one line."""
    parts = [] if status.phase == "reading" else [_counts(status)]
    if status.best is not None:
        parts.insert(0, f"{status.metric} {status.best:.5g}")
    return f"{clock(status.elapsed):>5} {status.phase}: {', '.join([*parts, _left(status)])}"


def sparkline(history: Sequence[tuple[float, float]], until: float, *, width: int, levels: str = LEVELS) -> str:
    """The best score over time: one character per slice of time, from the first score until now."""
    begin = history[0][0]
    span = max(until - begin, 1e-9)
    low, high = min(s for _, s in history), max(s for _, s in history)
    place, marks = 0, []
    for i in range(width):
        while place + 1 < len(history) and history[place + 1][0] <= begin + span * (i + 1) / width:
            place += 1
        share = (history[place][1] - low) / (high - low) if high > low else 0.0
        marks.append(levels[min(len(levels) - 1, int(share * len(levels)))])
    return "".join(marks)


def clock(seconds: float) -> str:
    """A time such as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _share(status: Status) -> float | None:
    """How far the search is, by whichever limit is nearer."""
    shares = []
    if status.limit:
        shares.append(status.elapsed / status.limit)
    if status.trials:
        shares.append((status.done + status.failed) / status.trials)
    return min(1.0, max(shares)) if shares else None


def _left(status: Status) -> str:
    if status.limit is None:
        return f"{clock(status.elapsed)} so far"
    return f"{clock(status.limit - status.elapsed)} left"


def _counts(status: Status) -> str:
    tried = status.done + status.failed
    of = f" of {status.trials:,}" if status.trials else ""
    text = f"{tried:,}{of} {'trial' if tried == 1 and not of else 'trials'}"
    notes = [f"{many:,} {what}" for many, what in ((status.failed, "failed"), (status.pruned, "stopped early")) if many]
    return f"{text} ({', '.join(notes)})" if notes else text


def _metric(name: str) -> str:
    return METRICS.get(name, name)


def _clean(text: str) -> str:
    """Without characters that could move the cursor or break a line: names come from files."""
    return "".join(c if c.isprintable() else " " for c in text)
