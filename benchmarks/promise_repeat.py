"""Run the same search again, also killed and resumed: equal seeds and worker counts must make equal runs."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.promise_runs import call, command, difference, leaderboard, spawn

KILL_AT = 0.5  # share of the first run's time after which the third one is killed


@dataclass(frozen=True)
class Repeat:
    """A run, compared with the first one of as many workers.

    Attributes:
        run: "first", "second", or "killed" for one that was killed and resumed.
        trials: rows of the leaderboard.
        digest: of the leaderboard without its times.
        differs: in what from the first run, empty for identical leaderboards and predictions.
    """

    version: str
    table: str
    space: str
    workers: int
    run: str
    trials: int
    seconds: float
    digest: str
    differs: str


def repeats(table: Path, space: str, options: list[str], *, workers: int, folder: Path, version: str) -> list[Repeat]:
    """A search, the same again, and with several workers also killed and resumed."""
    names = ["first", "second"] + (["killed"] if workers > 1 else [])
    rows: list[Repeat] = []
    for name in names:
        run, log = folder / f"{name}-{workers}", folder / "log.txt"
        search = command("search", table, "--space", space, *options, "--workers", workers, "--quiet", "--out", run)
        started = time.monotonic()
        if name == "killed":
            with spawn(search, log=log):
                time.sleep(KILL_AT * rows[0].seconds)
            call(command("resume", run, "--quiet"), log=log)
        else:
            call(search, log=log)
        took = time.monotonic() - started
        board = leaderboard(run)
        rows.append(
            Repeat(
                version=version,
                table=table.stem,
                space=Path(space).stem,
                workers=workers,
                run=name,
                trials=len(board),
                seconds=round(took, 1),
                digest=hashlib.sha256(board.to_csv(index=False).encode()).hexdigest()[:16],
                differs=difference(run, folder / f"first-{workers}", table) if rows else "",
            )
        )
    return rows
