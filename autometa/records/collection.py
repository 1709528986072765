"""A collection: many configs of one space evaluated on many datasets, whoever recorded them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from autometa.pool import Pool
from autometa.task import Task, Trial

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from autometa.records.card import Card
    from autometa.space import Config, Space


@dataclass(frozen=True)
class Evaluations:
    """The N evaluations of a collection, a column each, in the order in which they were recorded.

    Attributes:
        task, config: places in the collection's tasks and configs, int32, shape (N,).
        budget: share of the training rows (or of the epochs) in (0, 1], shape (N,).
        loss: of validation rows, lower is better; NaN where the evaluation failed or diverged, shape (N,).
        test_loss: of rows that nothing was chosen by; NaN where not recorded, shape (N,).
        seconds: what it took, processor seconds where they were recorded, else NaN, shape (N,).
        fold_losses, curve: N lists, or None where not recorded.
        stopped: whether it ended early, with a loss of the folds or steps it got to, shape (N,); None for none.
    """

    task: NDArray[np.int32]
    config: NDArray[np.int32]
    budget: NDArray[np.float64]
    loss: NDArray[np.float64]
    test_loss: NDArray[np.float64]
    seconds: NDArray[np.float64]
    fold_losses: pa.ListArray | None = None
    curve: pa.ListArray | None = None
    stopped: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.task)

    def whole(self, budget: float) -> NDArray[np.bool_]:
        """Which of them have that budget and went to their end, shape (N,)."""
        found = np.isclose(self.budget, budget)
        return found if self.stopped is None else found & ~self.stopped


@dataclass(frozen=True)
class Collection:
    """Recorded tasks.

    Attributes:
        card: what they are; one dataset per task.
        space: of their configs.
        configs: all that were evaluated, each once.
        evaluations: the outcomes.
        meta_features: of each task's dataset by task, where they were recorded.
    """

    card: Card
    space: Space
    configs: tuple[Config, ...]
    evaluations: Evaluations
    meta_features: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    _tasks: dict[str, Task] = field(default_factory=dict, repr=False, compare=False)
    _pools: dict[bytes, Pool] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, folder: str | Path) -> Collection:
        """Read a folder of recorded tasks: a collection of autometa, or a public table.

        Raises:
            ModelError: a file is missing, damaged, or does not fit the others.
        """
        from autometa.records.reading import read_collection

        return read_collection(folder)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the T tasks."""
        return tuple(d.name for d in self.card.datasets)

    @property
    def splits(self) -> dict[str, list[str]]:
        """Names of the tasks by split."""
        found: dict[str, list[str]] = {}
        for dataset in self.card.datasets:
            found.setdefault(dataset.split, []).append(dataset.name)
        return found

    @property
    def tasks(self) -> Mapping[str, Task]:
        """By name, with their trials at the full budget and at shares of it; each is built when asked for."""
        return _Tasks(self)

    def tasks_on(self, space: Space) -> tuple[Task, ...]:
        """The tasks as they are on another space: with the trials that it has, if any of these is complete.

        Args:
            space: often a part of the collection's, such as that of the learners that are installed.
        """
        held = {id(config) for config in self.configs if space == self.space or space.has(config)}
        found = []
        for name in self.names:
            task = self.tasks[name]
            trials = tuple(t for t in task.history if id(t.config) in held)
            found.append(replace(task, space=space, history=trials))
        return tuple(task for task in found if task.best is not None)

    @cached_property
    def full(self) -> NDArray[np.float64]:
        """Losses at the full budget, shape (T, C): NaN where a config was not evaluated, was stopped or failed."""
        return self.table(self.evaluations.loss)

    @cached_property
    def test(self) -> NDArray[np.float64]:
        """Test losses at the full budget, shape (T, C)."""
        return self.table(self.evaluations.test_loss)

    @cached_property
    def seconds(self) -> NDArray[np.float64]:
        """Of the evaluations at the full budget, shape (T, C)."""
        return self.table(self.evaluations.seconds)

    @cached_property
    def evaluated(self) -> NDArray[np.bool_]:
        """Whether a config was evaluated at the full budget, failed ones included, shape (T, C)."""
        e = self.evaluations
        found = np.zeros((len(self.names), len(self.configs)), np.bool_)
        whole = e.whole(1.0)
        found[e.task[whole], e.config[whole]] = True
        return found

    @cached_property
    def shared(self) -> NDArray[np.bool_]:
        """Whether more than one task has a config, shape (C,)."""
        return np.asarray(self.evaluated.sum(axis=0) > 1)

    def pool(self, places: NDArray[np.intp]) -> Pool:
        """Some of the configs as a pool; the same object for the same ones, so that what is learned of it is kept."""
        return self._pools.setdefault(places.tobytes(), Pool(self.space, [self.configs[i] for i in places]))

    def table(self, values: NDArray[np.float64], budget: float = 1.0) -> NDArray[np.float64]:
        """A column of the evaluations at one budget as a table, shape (T, C); NaN where there is none."""
        e = self.evaluations
        found = np.full((len(self.names), len(self.configs)), np.nan)
        # From the last to the first, so that of repeated evaluations the first counts.
        rows = np.flatnonzero(e.whole(budget))[::-1]
        found[e.task[rows], e.config[rows]] = values[rows]
        return found

    def features(self, number: int) -> dict[str, float | str]:
        """What a policy may know of a task's dataset before any trial."""
        dataset = self.card.datasets[number]
        return dataset.features | dict(self.meta_features.get(dataset.name, {}))

    def build(self, name: str) -> Task:
        """A task with all its trials.

        Raises:
            KeyError: there is none of that name.
        """
        if name not in self._tasks:
            number = {n: i for i, n in enumerate(self.names)}[name]
            rows = self._rows_of[number]
            trials = tuple(_trials(self.evaluations, rows, self.configs))
            self._tasks[name] = Task(name, self.space, trials, self.features(number))
        return self._tasks[name]

    @cached_property
    def _rows_of(self) -> list[NDArray[np.intp]]:
        order = np.argsort(self.evaluations.task, kind="stable")
        ends = np.cumsum(np.bincount(self.evaluations.task, minlength=len(self.names)))
        return list(np.split(order, ends[:-1]))


class _Tasks(Mapping[str, Task]):
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def __getitem__(self, name: str) -> Task:
        return self._collection.build(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._collection.names)

    def __len__(self) -> int:
        return len(self._collection.names)


def _trials(e: Evaluations, rows: NDArray[np.intp], configs: tuple[Config, ...]) -> Iterator[Trial]:
    folds, curves = _lists(e.fold_losses, rows), _lists(e.curve, rows)
    for i, row in enumerate(rows):
        loss = _number(e.loss[row])
        stopped = e.stopped is not None and bool(e.stopped[row])
        yield Trial(
            config=configs[e.config[row]],
            state="failed" if math.isnan(loss) else "pruned" if stopped else "complete",
            loss=loss,
            fold_losses=folds[i],
            budget=float(e.budget[row]),
            seconds=_number(e.seconds[row]),
            curve=curves[i],
        )


def _number(value: np.float64) -> float:
    """A plain number; NaN as the one object of that name, so that equal trials are equal."""
    return math.nan if math.isnan(value) else float(value)


def _lists(column: pa.ListArray | None, rows: NDArray[np.intp]) -> list[tuple[float, ...]]:
    if column is None:
        return [()] * len(rows)
    lists: list[Any] = column.take(rows).to_pylist()
    return [tuple(math.nan if x is None else x for x in values or ()) for values in lists]
