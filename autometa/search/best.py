"""The best ensemble so far: out-of-fold predictions as they come in, blended and written to model/."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autometa.search.plan import SMALL
from autometa.search.work import fold_files
from autometa.tables.calibration import Touch, find_touch
from autometa.tables.ensemble import MOST_CANDIDATES, MOST_ROWS, Blend, blend
from autometa.tables.model import Member, Model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from autometa.search.records import TrialRecord
    from autometa.search.run_folder import RunFolder
    from autometa.tables.metrics import Metric
    from autometa.tables.schema import Schema
    from autometa.tables.splits import Folds
    from autometa.tables.table import Table
    from autometa.tables.target import TargetCodec

FOUND = 16  # trials among the candidates of a small table that the policy found there, all algorithms together


@dataclass(frozen=True)
class Best:
    """An ensemble.

    Attributes:
        members: (trial number, weight), the heaviest first.
        loss: on rows that took no part in choosing the weights.
        rule: how the weights were chosen.
        touch: temperature or threshold on top.
        rows: rows of the table with a prediction of every member.
        predictions: of these rows, after the touch, shape (len(rows), outputs).
    """

    members: tuple[tuple[int, float], ...]
    loss: float
    rule: str
    touch: Touch
    rows: NDArray[np.intp]
    predictions: NDArray[np.floating]


class BestSoFar:
    """Keeps the out-of-fold predictions of all trials and the ensemble made of them.

    Args:
        table: gives target and weights.
        folds: which rows each fold predicts.
        metric: what the ensemble minimises the loss of.
        seed: draws nested folds.
    """

    def __init__(self, table: Table, folds: Folds, metric: Metric, *, seed: int) -> None:
        self._table, self._folds, self._metric, self._seed = table, folds, metric, seed
        self._rows = np.arange(len(table)) if folds.rows is None else folds.rows
        self._place = np.zeros(len(table), np.intp)  # of a row of the table among the rows of the search
        self._place[self._rows] = np.arange(len(self._rows))
        self._sums: dict[int, NDArray[np.float32]] = {}
        self._counts: dict[int, NDArray[np.uint8]] = {}
        self.best: Best | None = None
        self.seconds = 0.0  # that the last choice took

    def take(self, trial: int, fold: int, predictions: Path) -> None:
        """Add the predictions of one fold."""
        _, valid = self._folds.pair(fold)
        if trial not in self._sums:
            self._sums[trial] = np.zeros((len(self._rows), self._table.outputs), np.float32)
            self._counts[trial] = np.zeros(len(self._rows), np.uint8)
        at = self._place[valid]
        self._sums[trial][at] += np.load(predictions, allow_pickle=False)
        self._counts[trial][at] += 1

    def replace(self, trial: int, predictions: Path) -> None:
        """Take the predictions of a refit, of the rows of fold 0, instead of all others."""
        self.drop(trial)
        self.take(trial, 0, predictions)

    def drop(self, trial: int) -> None:
        """Forget a trial that will never be in the ensemble."""
        self._sums.pop(trial, None)
        self._counts.pop(trial, None)

    def update(self, records: Sequence[TrialRecord]) -> bool:
        """Choose the ensemble anew; whether there is one."""
        started = time.monotonic()
        found = self._update(records)
        self.seconds = time.monotonic() - started
        return found

    def _update(self, records: Sequence[TrialRecord]) -> bool:
        usable = [r for r in records if r.stage != "failed" and 0 in r.folds and r.number in self._sums]
        whole = [r for r in usable if r.depth >= r.first_folds]
        if not usable:
            self.best = None
            return False
        found = self._blend(whole) if whole else None
        if len(whole) < len(usable):
            # Trials that had time for some folds only: better members, perhaps, each of fewer models.
            more = self._blend(usable)
            if found is None or more.loss < self._loss_on(found, more.rows):
                found = more
        self.best = found
        return True

    def _blend(self, records: Sequence[TrialRecord]) -> Best:
        depth = min(min(r.depth, r.first_folds) for r in records)
        ranked = sorted(records, key=lambda r: (_or_inf(r.mean_loss(depth)), r.number))
        if len(self._table) < SMALL:
            ranked = _few_siblings(ranked)
        chosen = ranked[:MOST_CANDIDATES]
        at = np.flatnonzero(np.logical_and.reduce([self._counts[r.number] > 0 for r in chosen]))
        some = self._some(at)
        found: Blend = blend(
            np.stack([self._mean(r.number, some) for r in chosen]),
            self._table.target[self._rows[some]],
            self._metric,
            weights=self._weights(some),
            seed=self._seed,
        )
        members = [(r.number, float(w)) for r, w in zip(chosen, found.weights, strict=True) if w > 0]
        members.sort(key=lambda m: -m[1])
        touch = Touch()
        if self._table.classes:
            target = self._table.target[self._rows[some]]
            weights = self._weights(some)
            touch = find_touch(self._mixed(members, some), target, self._metric, weights=weights, seed=self._seed)
        predictions = np.asarray(touch.apply(self._mixed(members, at)))
        return Best(tuple(members), found.nested_loss, found.rule, touch, self._rows[at], predictions)

    def _some(self, at: NDArray[np.intp]) -> NDArray[np.intp]:
        if len(at) <= MOST_ROWS:
            return at
        return np.sort(np.random.default_rng(self._seed).permutation(at)[:MOST_ROWS])

    def _weights(self, at: NDArray[np.intp]) -> NDArray[np.float64] | None:
        weights = self._table.weights
        return None if weights is None else weights[self._rows[at]]

    def _mixed(self, members: Sequence[tuple[int, float]], at: NDArray[np.intp]) -> NDArray[np.float32]:
        """The weighted mean of the members, one after another: all at once they may not fit in memory."""
        mixed = np.zeros((len(at), self._table.outputs), np.float32)
        for number, weight in members:
            mixed += np.float32(weight) * self._mean(number, at)
        return mixed

    def _mean(self, trial: int, at: NDArray[np.intp]) -> NDArray[np.float32]:
        return np.divide(self._sums[trial][at], self._counts[trial][at, None], dtype=np.float32)

    def _loss_on(self, best: Best, rows: NDArray[np.intp]) -> float:
        """Loss of an ensemble on some of the rows that it predicts."""
        shared = np.isin(best.rows, rows)
        weights = self._table.weights
        loss = self._metric.loss(
            self._table.target[best.rows[shared]],
            best.predictions[shared],
            None if weights is None else weights[best.rows[shared]],
            threshold=best.touch.threshold,
        )
        return _or_inf(loss)

    def write(self, folder: RunFolder, records: Sequence[TrialRecord], schema: Schema, codec: TargetCodec) -> Model:
        """Write the ensemble to model/ and return it."""
        assert self.best is not None
        by_number = {r.number: r for r in records}
        members, sources = [], {}
        for number, weight in self.best.members:
            record = by_number[number]
            names = []
            # In a split by time the earlier folds have seen only the past of the past.
            for fold in record.models if self._folds.ranks is None else record.models[:1]:
                name = f"members/{number:05d}/fold_{fold}"
                sources[name] = fold_files(folder.trial(number), fold)[0]
                names.append(name)
            members.append(Member(number, record.algorithm, weight, tuple(names)))
        model = Model(folder.model, schema, codec, tuple(members), self.best.touch)
        model.save(sources)
        return model


def _few_siblings(ranked: Sequence[TrialRecord]) -> list[TrialRecord]:
    """All prior configs, and of those that were found by looking at the scores a few per algorithm.

    On few rows the best of many similar configs is mostly the luckiest, and a blend of such siblings more so.
    """
    most = math.ceil(FOUND / len({r.algorithm for r in ranked}))
    count: Counter[str] = Counter()
    chosen = []
    for record in ranked:
        if not record.prior:
            count[record.algorithm] += 1
        if record.prior or count[record.algorithm] <= most:
            chosen.append(record)
    return chosen


def _or_inf(loss: float) -> float:
    return math.inf if math.isnan(loss) else loss
