"""What the files of a run folder say, as far as they are there and can be read."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autometa.search.report.words import finite
from autometa.search.run_folder import RunFolder


@dataclass(frozen=True)
class Row:
    """One trial of the leaderboard.

    Attributes:
        number: of the trial.
        state: "complete", "pruned" or "failed".
        score: in the metric's own sign, None where there is none.
        weight: share in the ensemble.
        elapsed: seconds since the start when it ended.
    """

    number: int
    state: str
    score: float | None
    folds: int
    weight: float
    algorithm: str
    source: str
    seconds: float | None
    elapsed: float | None
    error: str
    config: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A run folder's files.

    Attributes:
        path: of the folder.
        run, metrics, evidence: contents of run.json, metrics.json and report.json; {} where absent.
        rows: the leaderboard, the best first.
        finished: whether the search is over.
        model_exists: whether there is a model to use.
        unread: files that are there and cannot be read.
    """

    path: Path
    run: dict[str, Any]
    metrics: dict[str, Any]
    evidence: dict[str, Any]
    rows: tuple[Row, ...]
    finished: bool
    model_exists: bool
    unread: tuple[str, ...] = field(default=())

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return str(self.metrics.get("metric") or self.run.get("metric") or "score")

    @property
    def greater_is_better(self) -> bool:
        """Direction of the metric."""
        return self.metrics.get("direction") == "maximize"

    @property
    def target(self) -> str:
        """Name of the target column."""
        return str(self.run.get("target_name") or "the target")

    @property
    def data(self) -> dict[str, Any]:
        """What the columns looked like; known from the start of a search on."""
        return _mapping(self.evidence.get("data")) or _mapping(self.run.get("data"))

    @property
    def settings(self) -> dict[str, Any]:
        """What the user asked for."""
        return _mapping(self.run.get("settings"))


def read_run(folder: RunFolder) -> Run:
    """Read the files of a run folder.

    Raises:
        RunError: run.json cannot be read; without it nothing is known.
    """
    unread: list[str] = []
    run = folder.read_run()
    metrics = _json(folder.metrics, unread)
    evidence = _json(folder.evidence, unread)
    try:
        rows = _leaderboard(folder.leaderboard)
    except (OSError, ValueError, csv.Error):
        rows = ()
        unread.append(folder.leaderboard.name)
    # The evidence is the last thing written before work/ goes; a run without a report has none.
    finished = folder.evidence.exists() or (folder.metrics.exists() and not folder.work.exists())
    model = (folder.model / "model.json").exists()
    return Run(folder.path, run, metrics, evidence, rows, finished, model, tuple(unread))


def _json(path: Path, unread: list[str]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        unread.append(path.name)
        return {}
    return content


def _leaderboard(path: Path) -> tuple[Row, ...]:
    if not path.exists():
        return ()
    with path.open(encoding="utf-8", newline="") as handle:
        return tuple(_row(r) for r in csv.DictReader(handle))


def _row(cells: dict[str, Any]) -> Row:
    def text(name: str) -> str:
        return str(cells.get(name) or "")

    try:
        config = json.loads(text("config") or "{}")
    except ValueError:
        config = {}
    return Row(
        number=int(finite(text("trial")) or 0),
        state=text("state"),
        score=finite(text("score")),
        folds=int(finite(text("folds")) or 0),
        weight=finite(text("weight")) or 0.0,
        algorithm=text("algorithm"),
        source=text("source"),
        seconds=finite(text("seconds")),
        elapsed=finite(text("elapsed")),
        error=text("error"),
        config=_mapping(config),
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
