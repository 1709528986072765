"""Number columns for learners: gaps filled, then scaled. Fitted on the training rows only.

Letters: n rows, f number columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.tables.state import State

Scaling = Literal["none", "standard", "robust", "quantile_normal"]
Floats = NDArray[np.floating]

QUANTILES = 1000
SAMPLE = 100_000
ROWS_AT_ONCE = 65_536
STANDARD_LIMIT = 20.0
FLOAT32_LIMIT = 3e38


def distinct(values: Floats) -> NDArray[np.bool_]:
    """Whether each column (n, f) has two different values at least, gaps left out."""
    if not len(values):
        return np.zeros(values.shape[1], np.bool_)
    return np.asarray(np.fmax.reduce(values, axis=0) > np.fmin.reduce(values, axis=0))


def to_float32(values: Floats) -> NDArray[np.float32]:
    """As float32, with what is beyond its range put at its ends."""
    if values.dtype == np.float32:
        return values
    return np.clip(values, -FLOAT32_LIMIT, FLOAT32_LIMIT).astype(np.float32)


@dataclass(frozen=True)
class NumberColumns:
    """Gaps filled and columns scaled.

    Attributes:
        fill: what stands for a missing value, shape (f,).
        scaling: none; standard; robust (median and quartiles, then a smooth clip to about +-3: Holzmüller et al.
            2024, RealMLP); quantile_normal (ranks to a standard normal; unlike scikit-learn's, ties get their
            middle rank and the ends are not stretched to +-5).
        centre: subtracted, shape (f,).
        scale: multiplied, shape (f,).
        knots: for quantile_normal, values of each column in rising order, one column after another.
        normals: what each knot becomes.
        lengths: number of knots of each column.
    """

    fill: NDArray[np.float64]
    scaling: Scaling
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    knots: NDArray[np.float64]
    normals: NDArray[np.float64]
    lengths: tuple[int, ...]

    @classmethod
    def fit(cls, values: Floats, *, imputation: str, scaling: Scaling, seed: int) -> NumberColumns:
        """Fit on training rows (n, f) whose columns all hold some number."""
        if len(values) > SAMPLE:
            values = values[np.sort(np.random.default_rng(seed).choice(len(values), SAMPLE, replace=False))]
        sample = values.astype(np.float64)
        holes = np.isnan(sample)
        width = sample.shape[1]
        fill = np.zeros(width)
        for i in range(width):
            known = sample[~holes[:, i], i]
            if len(known):
                fill[i] = np.median(known) if imputation == "median" else known.mean()
        sample[holes] = np.broadcast_to(fill, sample.shape)[holes]
        centre, scale = np.zeros(width), np.ones(width)
        knots: list[NDArray[np.float64]] = []
        normals: list[NDArray[np.float64]] = []
        if scaling == "standard":
            centre, scale = sample.mean(axis=0), _inverse(sample.std(axis=0))
        elif scaling == "robust":
            low, centre, high = np.quantile(sample, (0.25, 0.5, 0.75), axis=0)
            # A column whose quartiles agree is scaled by its range instead.
            scale = np.where(high > low, _inverse(high - low), 2 * _inverse(sample.max(axis=0) - sample.min(axis=0)))
        elif scaling == "quantile_normal":
            pairs = [_knots(sample[:, i]) for i in range(width)]
            knots, normals = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        empty = np.empty(0)
        return cls(
            fill,
            scaling,
            centre,
            scale,
            np.concatenate(knots) if knots else empty,
            np.concatenate(normals) if normals else empty,
            tuple(len(one) for one in knots),
        )

    def transform(self, values: Floats) -> NDArray[np.float32]:
        """Scaled rows, shape (n, f), without gaps."""
        found = np.empty(values.shape, np.float32)
        # In parts, so that the float64 values in between stay small.
        for start in range(0, len(values), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            found[part] = self._scaled(np.where(np.isnan(values[part]), self.fill, values[part]))
        return found

    def _scaled(self, full: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.scaling == "none":
            return full
        if self.scaling == "quantile_normal":
            start = 0
            for i, length in enumerate(self.lengths):
                knots = slice(start, start + length)
                full[:, i] = np.interp(full[:, i], self.knots[knots], self.normals[knots])
                start += length
            return full
        full = (full - self.centre) * self.scale
        if self.scaling == "robust":
            # Smooth clip; the inner clip only keeps the square finite.
            full = np.clip(full, -1e100, 1e100)
            full = full / np.sqrt(1 + (full / 3) ** 2)
        return np.clip(full, -STANDARD_LIMIT, STANDARD_LIMIT)

    def state(self) -> State:
        """What to save."""
        return State(
            {"scaling": self.scaling, "lengths": self.lengths},
            {name: getattr(self, name) for name in ("fill", "centre", "scale", "knots", "normals")},
        )

    @classmethod
    def from_state(cls, state: State) -> NumberColumns:
        """What :meth:`state` described."""
        scaling = state.settings["scaling"]
        lengths = tuple(int(length) for length in state.settings["lengths"])
        fill = state.array("fill", np.float64, None)
        width, knots = len(fill), sum(lengths)
        if scaling not in ("none", "standard", "robust", "quantile_normal") or min(lengths, default=1) < 1:
            raise ModelError("the scaling of the saved model is unknown; save it again")
        if scaling == "quantile_normal" and len(lengths) != width:
            raise ModelError("the quantiles of the saved model do not fit its columns; save it again")
        return cls(
            fill,
            scaling,
            state.array("centre", np.float64, width),
            state.array("scale", np.float64, width),
            state.array("knots", np.float64, knots),
            state.array("normals", np.float64, knots),
            lengths,
        )


def _inverse(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(1.0, spread, out=np.ones_like(spread), where=(spread > 0) & np.isfinite(spread))


def _knots(column: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rising values, and the normal quantile of the middle of their ranks."""
    from scipy.special import ndtri

    values, counts = np.unique(column, return_counts=True)
    if len(values) > QUANTILES:
        values = np.unique(np.quantile(column, np.linspace(0, 1, QUANTILES)))
        through = np.searchsorted(np.sort(column), values, side="right")
        before = np.searchsorted(np.sort(column), values, side="left")
    else:
        through = np.cumsum(counts)
        before = through - counts
    return values, ndtri((before + through) / (2 * len(column)))
