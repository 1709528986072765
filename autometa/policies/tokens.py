"""Configs as tokens, one for each hyperparameter, so that one network reads any space.

A token depends on its own hyperparameter only: it is the same in whatever space and at whatever place that stands.
Letters: C configs, d hyperparameters, t token width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autometa.parameters import Categorical, Float, Int
from autometa.policies.text_embedding import embedding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.parameters import Parameter
    from autometa.pool import Pool
    from autometa.space import Space

NAME, CHOICE = 16, 8  # numbers in which the text of a name and of a choice is embedded
KINDS = (Float, Int, Categorical)
MANY = 1024  # levels that count as a continuum
FREQUENCIES = (1, 2)  # waves over the range of a number
PLACE = 2 + 2 * len(FREQUENCIES)
SPACE_WIDTH = len(KINDS) + 4 + NAME
VALUE_WIDTH = PLACE + CHOICE + 1


@dataclass(frozen=True, eq=False)
class Tokens:
    """The C configs of a pool for a network.

    Attributes:
        space: what each hyperparameter is, shape (d, t0); see :func:`describe`.
        values: of each config, shape (C, d, t1), 0 where not active. A number: its place in the range about the
            middle, its square, sines and cosines. A choice: its text, embedded; among numbers also its place as one.
            Last, whether it is the default.
        active: which hyperparameters a config has, shape (C, d).
    """

    space: NDArray[np.float32]
    values: NDArray[np.float32]
    active: NDArray[np.bool_]

    def packed(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Only the active hyperparameters of each config: tokens (C, a, t0 + t1) and 1 where there is one, (C, a).

        a is the most that one config has: of a space with branches a small part of d.
        """
        counts = self.active.sum(axis=1)
        most = int(counts.max(initial=0))
        order = np.argsort(~self.active, axis=1, kind="stable")[:, :most]
        there = (np.arange(most) < counts[:, None]).astype(np.float32)
        values = np.take_along_axis(self.values, order[:, :, None], axis=1)
        return np.concatenate([self.space[order], values], axis=2) * there[:, :, None], there


def describe(space: Space) -> NDArray[np.float32]:
    """What the hyperparameters of a space are, whatever their values, shape (d, t0).

    Kind (one of three), whether its scale is logarithmic, the logarithm of the number of its levels (1 for a
    continuum), whether it is conditional, on how many choices one after another (halved), and its name, embedded.
    """
    depths: dict[str, int] = {}
    rows = np.zeros((len(space), SPACE_WIDTH), np.float32)
    for row, p in zip(rows, space, strict=True):
        depths[p.name] = 0 if p.when is None else depths[p.when[0]] + 1
        row[KINDS.index(type(p))] = 1.0
        scale = float(not isinstance(p, Categorical) and p.log)
        extent = min(math.log(_levels(p)) / math.log(MANY), 1.0)
        row[len(KINDS) : -NAME] = scale, extent, p.when is not None, depths[p.name] / 2
        row[-NAME:] = embedding(p.name, NAME)
    return rows


def tokens(pool: Pool) -> Tokens:
    """The tokens of all configs of a pool."""
    units = pool.units
    active = ~np.isnan(units)
    values = np.zeros((*units.shape, VALUE_WIDTH), np.float32)
    numbers = [i for i, p in enumerate(pool.space) if not isinstance(p, Categorical)]
    values[:, numbers, :PLACE] = _place(units[:, numbers])
    defaults = np.array([p.to_unit(p.default) for p in pool.space])
    values[:, :, -1] = units == defaults
    for i, p in enumerate(pool.space):
        if isinstance(p, Categorical):
            chosen = np.nan_to_num(units[:, i] * len(p.choices)).astype(np.intp)
            values[:, i, :-1] = _choices(p)[chosen]
    values[~active] = 0.0
    return Tokens(describe(pool.space), values, active)


def _levels(p: Parameter) -> int:
    if isinstance(p, Categorical):
        return len(p.choices)
    if isinstance(p, Int):
        return p.high - p.low + 1
    return MANY if p.high > p.low else 1


def _place(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is said of places in [0, 1], shape (..., PLACE)."""
    angles = [2 * np.pi * frequency * unit for frequency in FREQUENCIES]
    waves = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return np.stack([unit - 0.5, (unit - 0.5) ** 2, *waves], axis=-1)


def _choices(p: Categorical) -> NDArray[np.float64]:
    """What is said of each of k choices, the default aside, shape (k, t1 - 1).

    Choices that are numbers have an order, though the space does not use it: they have a place as numbers too.
    """
    table = np.zeros((len(p.choices), VALUE_WIDTH - 1))
    if all(isinstance(c, int | float) and not isinstance(c, bool) for c in p.choices):
        ranks = np.argsort(np.argsort(np.array(p.choices, float)))
        table[:, :PLACE] = _place((ranks + 0.5) / len(p.choices))
    table[:, PLACE:] = [embedding(repr(c), CHOICE) for c in p.choices]
    return table
