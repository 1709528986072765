"""Families of synthetic tasks: functions on one space that have something in common, as real datasets have.

A family draws what its members share (which hyperparameters matter and how, a common function, failures) and each
member mixes the common function with one of its own.
Letters: S tasks, C configs, d hyperparameters, t columns of kernel inputs, w weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from autometa.metatrain.hashed_noise import hashed_noise
from autometa.metatrain.random_functions import Bowl, Branches, Columns, Kind, Trees, Waves, relevances
from autometa.metatrain.synthetic_spaces import synthetic_space
from autometa.pool import Pool
from autometa.records.prior_tasks import PriorTasks
from autometa.space import key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.space import Config, Space

REFERENCE = 256  # random configs on which functions are brought to mean 0 and variance 1
FAILING = 0.1  # share of the families in which configs of some region fail
SPACE, SHARED, MEMBER, CONFIGS = range(4)  # streams of random numbers of one seed


@dataclass(frozen=True, eq=False)
class SyntheticFamily:
    """Related functions on a space.

    Attributes:
        seed: of all that is drawn.
        space: of the configs.
        relatedness: how far the members are alike, in [0, 1]: about the correlation of two of them.
    """

    seed: int
    space: Space
    relatedness: float

    @classmethod
    def draw(cls, seed: int, space: Space | None = None) -> SyntheticFamily:
        """A family on a space, or on a random one."""
        rng = np.random.default_rng([seed, SPACE])
        return cls(seed, synthetic_space(seed) if space is None else space, float(rng.uniform()))

    def task(self, number: int) -> Callable[[Config], float]:
        """The loss of a config under one of the members; infinite where it fails."""
        member = self._members([number])
        return lambda config: float(member.losses(self.space.to_unit(config)[None])[0, 0])

    def losses(self, numbers: Sequence[int], pool: Pool) -> NDArray[np.float64]:
        """Losses under some of the members, shape (S, C)."""
        return self._members(numbers).losses(pool.units)

    @cached_property
    def _shared(self) -> _Shared:
        return _Shared.draw(self.space, np.random.default_rng([self.seed, SHARED]))

    def _members(self, numbers: Sequence[int]) -> _Members:
        shared = self._shared
        rngs = [np.random.default_rng([self.seed, MEMBER, number]) for number in numbers]
        own = [np.array([kind.weights(rng) for rng in rngs]) for kind in shared.kinds]
        mixed = [
            np.sqrt(self.relatedness) * common + np.sqrt(1 - self.relatedness) * _standardised(weights, features)
            for common, weights, features in zip(shared.weights, own, shared.reference, strict=True)
        ]
        weights = np.hstack([size * w for size, w in zip(shared.sizes, mixed, strict=True)])
        values = weights @ np.hstack(shared.reference).T
        level, spread = np.array([[rng.normal(), rng.lognormal(0.0, 0.5)] for rng in rngs]).T[:, :, None]
        keys = np.array([rng.integers(2**64, dtype=np.uint64) for rng in rngs])
        deviation = np.maximum(values.std(axis=1, keepdims=True), 1e-9)
        return _Members(shared, weights, values.mean(axis=1, keepdims=True), deviation, level, spread, keys)


def prior_tasks(family: SyntheticFamily, *, tasks: int, configs: int, seed: int) -> PriorTasks:
    """The first members of a family, each evaluated on the same random configs.

    Args:
        family: whose later members are left to validate on.
        tasks: S.
        configs: C; fewer where so many draws repeat some.
        seed: of the configs.
    """
    rng = np.random.default_rng([seed, CONFIGS])
    drawn = (family.space.sample(rng) for _ in range(configs))
    pool = Pool(family.space, {key(config): config for config in drawn}.values())
    names = tuple(f"synthetic-{family.seed}-{number}" for number in range(tasks))
    return PriorTasks(pool, names, family.losses(range(tasks), pool))


@dataclass(frozen=True, eq=False)
class _Shared:
    """What the members of a family have in common.

    Attributes:
        columns: of the space.
        kinds: of functions that a member is the sum of.
        sizes: standard deviation of each kind, squares add up to 1.
        reference: features of the reference configs by kind, each of shape (REFERENCE, w).
        weights: of the common function by kind, each of shape (w,).
        skew: above 0 a few configs are much better than most, below 0 a few are much worse.
        noise: standard deviation of an evaluation, relative to that of the configs.
        direction: in which configs begin to fail, shape (t,).
        limit: how far in this direction; infinite where none fails.
        scale: of the losses.
    """

    columns: Columns
    kinds: tuple[Kind, ...]
    sizes: NDArray[np.float64]
    reference: tuple[NDArray[np.float64], ...]
    weights: tuple[NDArray[np.float64], ...]
    skew: float
    noise: float
    direction: NDArray[np.float64]
    limit: float
    scale: float

    @classmethod
    def draw(cls, space: Space, rng: np.random.Generator) -> _Shared:
        """At random."""
        columns, relevance = Columns.of(space), relevances(space, rng)
        inputs = columns.inputs(Pool(space, [space.sample(rng) for _ in range(REFERENCE)]).units)
        kinds: list[Kind] = [kind.draw(columns, relevance, rng) for kind in (Waves, Trees, Bowl)]
        if any(p.when is not None for p in space):
            kinds.append(Branches.of(columns))
        reference = [kind.features(inputs) for kind in kinds]
        common = [_standardised(k.weights(rng)[None], f)[0] for k, f in zip(kinds, reference, strict=True)]
        direction = rng.standard_normal(len(columns.owner))
        beyond = np.quantile((inputs * direction).sum(axis=1), rng.uniform(0.8, 0.98)) + 1e-9
        return cls(
            columns=columns,
            kinds=tuple(kinds),
            sizes=np.sqrt(rng.dirichlet([0.5] * len(kinds))),
            reference=tuple(reference),
            weights=tuple(common),
            skew=float(rng.uniform(-0.3, 1.0)),
            noise=float(10 ** rng.uniform(-3.0, -1.5)),
            direction=direction,
            limit=float(beyond) if rng.random() < FAILING else np.inf,
            scale=float(rng.lognormal(-1.0, 1.0)),
        )


@dataclass(frozen=True, eq=False)
class _Members:
    """S functions of a family.

    Attributes:
        shared: what they have in common.
        weights: of all kinds, shape (S, w).
        mean: on the reference configs, shape (S, 1).
        deviation: there, shape (S, 1).
        level: of the losses, shape (S, 1).
        spread: of the losses, shape (S, 1).
        keys: of their noise, shape (S,).
    """

    shared: _Shared
    weights: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    level: NDArray[np.float64]
    spread: NDArray[np.float64]
    keys: NDArray[np.uint64]

    def losses(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """At places in the unit cube, shape (C, d); losses of shape (S, C)."""
        shared = self.shared
        inputs = shared.columns.inputs(units)
        features = np.hstack([kind.features(inputs) for kind in shared.kinds])
        values = (self.weights @ features.T - self.mean) / self.deviation
        noise = shared.noise * np.exp(np.tanh(values)) * hashed_noise(units, self.keys)  # bad configs vary more
        skewed = -np.expm1(-shared.skew * values) / shared.skew
        losses = shared.scale * (self.level + self.spread * (skewed + noise))
        failed = (inputs * shared.direction).sum(axis=1) > shared.limit
        return np.where(failed, np.inf, losses)


def _standardised(weights: NDArray[np.float64], features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights, shape (S, w), such that functions have variance 1 on the features, shape (C, w); 0 if constant."""
    deviation = (weights @ features.T).std(axis=1, keepdims=True)
    return weights / np.where(deviation > 1e-9, deviation, np.inf)
