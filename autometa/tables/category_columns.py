"""Category columns for learners: rare levels merged, then codes, 0/1 columns or means of the target.

Letters: n rows, f_cat category columns, c outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.tables.state import State
from autometa.tables.table import Features

ONEHOT_LEVELS = 50
# A table of more 0/1 columns than this, or of more bytes, is slower than what it gains.
ONEHOT_COLUMNS, ONEHOT_BYTES = 2000, 512 * 2**20
ENCODED_OUTPUTS = 10
INNER_FOLDS = 5


@dataclass(frozen=True)
class Levels:
    """Which levels of each category column stay apart, numbered by falling frequency.

    Attributes:
        columns: the category columns that have two levels or more, as indices into f_cat.
        maps: for each of them, level to new code; the last entry is for missing values. What the
            training rows lack gets the code after the last, as does a missing value if none is missing there.
        sizes: number of codes of each, the unknown one included.
    """

    columns: tuple[int, ...]
    maps: tuple[NDArray[np.int32], ...]
    sizes: tuple[int, ...]

    @classmethod
    def fit(cls, features: Features, *, rare: int) -> Levels:
        """Count the levels and merge those of fewer rows than ``rare`` into one of their own."""
        columns, maps, sizes = [], [], []
        for i, cardinality in enumerate(features.cardinalities):
            codes = features.categories[:, i]
            counts = np.bincount(np.where(codes < 0, cardinality, codes), minlength=cardinality + 1)
            merged = (counts > 0) & (counts < rare)
            # A missing value stays a level of its own, however rare.
            merged[cardinality] = False
            kept = np.flatnonzero((counts > 0) & ~merged)
            sizes_of = list(counts[kept]) + [counts[merged].sum()] * bool(merged.any())
            if len(sizes_of) < 2:
                continue
            place = np.empty(len(sizes_of), np.int32)
            place[np.argsort(-np.asarray(sizes_of), kind="stable")] = np.arange(len(sizes_of), dtype=np.int32)
            new = np.full(cardinality + 1, len(sizes_of), np.int32)
            new[kept] = place[: len(kept)]
            if merged.any():
                new[merged] = place[-1]
            columns.append(i)
            maps.append(new)
            sizes.append(len(sizes_of) + 1)
        return cls(tuple(columns), tuple(maps), tuple(sizes))

    def codes(self, features: Features) -> NDArray[np.int32]:
        """New codes of the kept columns, shape (n, columns)."""
        found = np.empty((len(features), len(self.columns)), np.int32)
        for place, (i, levels) in enumerate(zip(self.columns, self.maps, strict=True)):
            # A missing value is -1, which is the last entry.
            found[:, place] = levels[features.categories[:, i]]
        return found

    def state(self) -> State:
        """What to save."""
        joined = np.concatenate(self.maps) if self.maps else np.empty(0, np.int32)
        lengths = [len(one) for one in self.maps]
        return State({"columns": self.columns, "sizes": self.sizes, "lengths": lengths}, {"maps": joined})

    @classmethod
    def from_state(cls, state: State) -> Levels:
        """What :meth:`state` described."""
        columns, sizes, lengths = (
            tuple(int(value) for value in state.settings[key]) for key in ("columns", "sizes", "lengths")
        )
        joined = state.array("maps", np.int32, sum(lengths))
        maps = tuple(np.split(joined, np.cumsum(lengths)[:-1])) if lengths else ()
        for size, one in zip(sizes, maps, strict=True):
            if len(one) == 0 or one.min() < 0 or one.max() >= size:
                raise ModelError("a category code of the saved model is out of range; save it again")
        if len(columns) != len(maps) or any(column < 0 for column in columns):
            raise ModelError("the category columns of the saved model do not fit together; save it again")
        return cls(columns, maps, sizes)


def onehot_widths(sizes: tuple[int, ...], rows: int) -> tuple[int, ...]:
    """How many 0/1 columns each category column gets: the last one of a long column stands for all rarer levels."""
    most = max(2 * len(sizes), min(ONEHOT_COLUMNS, ONEHOT_BYTES // (4 * max(rows, 1))))
    levels = [size - 1 for size in sizes]
    for cap in (ONEHOT_LEVELS, 30, 20, 12, 8, 5, 3, 2):
        # Two levels need one column only.
        widths = tuple(1 if size == 2 else min(size, cap) for size in levels)
        if sum(widths) <= most:
            break
    return widths


def onehot(codes: NDArray[np.int32], sizes: tuple[int, ...], widths: tuple[int, ...]) -> NDArray[np.float32]:
    """0/1 columns, shape (n, sum of widths); a level that the training rows lacked is all zeros."""
    found = np.zeros((len(codes), sum(widths)), np.float32)
    rows = np.arange(len(codes))
    start = 0
    for column, (size, width) in enumerate(zip(sizes, widths, strict=True)):
        code = codes[:, column]
        unknown = code == size - 1
        shown = unknown | (code >= width) if size == 3 else unknown
        place = np.minimum(code, width - 1)
        found[rows[~shown], start + place[~shown]] = 1.0
        start += width
    return found


@dataclass(frozen=True)
class TargetMeans:
    """Categories as smoothed means of the target (target encoding, Micci-Barreca 2001).

    The training rows get means of the other inner folds, so that a level seen once does not give its target away.

    Attributes:
        tables: for each column, mean by code, shape (size, columns per category); unknown levels get the overall mean.
    """

    tables: tuple[NDArray[np.float32], ...]

    @classmethod
    def fit_transform(
        cls, codes: NDArray[np.int32], sizes: tuple[int, ...], target: NDArray[np.float64], *, seed: int
    ) -> tuple[TargetMeans, NDArray[np.float32]]:
        """Means by code, and the encoded training rows.

        Args:
            codes: shape (n, columns).
            sizes: number of codes of each column.
            target: shape (n, k), one column per class that is encoded, or the one value.
            seed: of the inner folds.
        """
        folds = np.random.default_rng(seed).permutation(np.arange(len(codes)) % INNER_FOLDS)
        tables, encoded = [], np.empty((len(codes), codes.shape[1], target.shape[1]), np.float32)
        for column, size in enumerate(sizes):
            code = codes[:, column]
            tables.append(_means(code, size, target))
            for fold in range(INNER_FOLDS):
                held = folds == fold
                if held.any():
                    table = _means(code[~held], size, target[~held]) if (~held).any() else tables[-1]
                    encoded[held, column] = table[code[held]]
        return cls(tuple(tables)), encoded.reshape(len(codes), -1)

    def transform(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """Encoded rows, shape (n, columns * k)."""
        shown = [table[codes[:, column]] for column, table in enumerate(self.tables)]
        return np.concatenate(shown, axis=1) if shown else np.empty((len(codes), 0), np.float32)


def _means(code: NDArray[np.int32], size: int, target: NDArray[np.float64]) -> NDArray[np.float32]:
    """Means by code, drawn to the overall mean by as many rows as the noise is worth (empirical Bayes)."""
    counts = np.bincount(code, minlength=size)[:, None].astype(np.float64)
    sums = np.stack([np.bincount(code, one, size) for one in target.T], axis=1)
    squares = np.stack([np.bincount(code, one**2, size) for one in target.T], axis=1)
    overall = target.mean(axis=0)
    spread = target.var(axis=0)
    means = np.divide(sums, counts, out=np.tile(overall, (size, 1)), where=counts > 0)
    within = np.divide(squares, counts, out=np.zeros_like(sums), where=counts > 0) - means**2
    noise = np.divide(np.maximum(within, 0), spread, out=np.zeros_like(sums), where=spread > 0)
    share = np.divide(counts, counts + noise, out=np.zeros_like(sums), where=counts > 0)
    return np.asarray(share * means + (1 - share) * overall, np.float32)
