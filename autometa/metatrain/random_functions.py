"""Random functions on a space: waves, trees, bowls and branches, each linear in weights that are drawn.

As a function is its weights, functions are related by mixing weights, and many are evaluated by one product.
Letters: C configs, d hyperparameters, t columns of kernel inputs, w weights. A relevance is an inverse length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from autometa.parameters import Categorical
from autometa.pool import kernel_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.parameters import Parameter
    from autometa.space import Space

WAVES = 256
TREES, CUTS = 32, 3
SHORTEST, LONGEST = 0.2, 2.0  # lengths over which a function changes, in ranges of a hyperparameter
IRRELEVANT = 0.5  # share of the hyperparameters that do not matter
NEAR_DEFAULT = 0.15  # how far from the default the best place on a linear scale is
CHOICE_EFFECT = 0.3


@dataclass(frozen=True, eq=False)
class Columns:
    """The t columns of a space's kernel inputs, the same for all its configs.

    Attributes:
        space: of the configs.
        owner: place of the hyperparameter that a column belongs to, shape (t,).
        binary: whether it takes two values, as choices and activity do, shape (t,).
    """

    space: Space
    owner: NDArray[np.intp]
    binary: NDArray[np.bool_]

    @classmethod
    def of(cls, space: Space) -> Columns:
        """Those of a space."""
        parts = [
            [True] * len(p.choices) if isinstance(p, Categorical) else [False] if p.when is None else [False, True]
            for p in space
        ]
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return cls(space, owner, np.array([binary for part in parts for binary in part]))

    def inputs(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places in the unit cube, shape (C, d), as points for a kernel, shape (C, t)."""
        return kernel_inputs(self.space, units, flagged=[p.when is not None for p in self.space])


class Kind(Protocol):
    """A kind of function."""

    def features(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a function is a weighted sum of, shape (C, w), from kernel inputs, shape (C, t)."""
        ...

    def weights(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Of one function, shape (w,)."""
        ...


@dataclass(frozen=True, eq=False)
class Waves:
    """Gaussian processes with a Matérn 5/2 kernel and a length for each hyperparameter, everywhere defined.

    Rahimi and Recht 2007, "Random features for large-scale kernel machines".

    Attributes:
        frequencies: shape (t, w).
        phases: shape (w,).
    """

    frequencies: NDArray[np.float64]
    phases: NDArray[np.float64]

    @classmethod
    def draw(cls, columns: Columns, relevance: NDArray[np.float64], rng: np.random.Generator) -> Waves:
        """What matters more changes them faster."""
        normal = rng.standard_normal((len(columns.owner), WAVES)) * relevance[columns.owner, None]
        return cls(normal / np.sqrt(rng.chisquare(5, WAVES) / 5), rng.uniform(0, 2 * np.pi, WAVES))

    def features(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cosines of the inputs."""
        return np.cos(inputs @ self.frequencies + self.phases)

    def weights(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Normal ones."""
        return rng.standard_normal(len(self.phases))


@dataclass(frozen=True, eq=False)
class Trees:
    """Sums of small regression trees that ask the same question in all nodes of a level.

    Attributes:
        columns: that are asked about, shape (trees, cuts).
        thresholds: shape (trees, cuts).
        sizes: standard deviation of a tree's leaves, shape (trees,).
    """

    columns: NDArray[np.intp]
    thresholds: NDArray[np.float64]
    sizes: NDArray[np.float64]

    @classmethod
    def draw(cls, columns: Columns, relevance: NDArray[np.float64], rng: np.random.Generator) -> Trees:
        """What matters more is asked about more often; a few trees are larger than the others."""
        chances = relevance[columns.owner] / np.bincount(columns.owner)[columns.owner]
        chosen = rng.choice(len(chances), (TREES, CUTS), p=chances / chances.sum())
        thresholds = rng.uniform(-0.5, 0.5, (TREES, CUTS))
        return cls(
            chosen, np.where(columns.binary[chosen], np.abs(thresholds), thresholds), rng.exponential(size=TREES)
        )

    def features(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """In which leaf of each tree a config lies, as 0/1 columns."""
        leaves = (inputs[:, self.columns] > self.thresholds) @ (1 << np.arange(CUTS))
        return np.eye(1 << CUTS)[leaves].reshape(len(inputs), -1)

    def weights(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """The values of the leaves."""
        return np.repeat(self.sizes, 1 << CUTS) * rng.standard_normal(len(self.sizes) << CUTS)


@dataclass(frozen=True, eq=False)
class Bowl:
    """Quadratic bowls: on a logarithmic scale the best place is anywhere, on a linear one near the default.

    Attributes:
        columns: of the space.
        relevance: of each hyperparameter, shape (d,).
        curvature: of each hyperparameter, 0 for a categorical, shape (d,).
    """

    columns: Columns
    relevance: NDArray[np.float64]
    curvature: NDArray[np.float64]

    @classmethod
    def draw(cls, columns: Columns, relevance: NDArray[np.float64], rng: np.random.Generator) -> Bowl:
        """Bent more where more matters."""
        numbers = np.array([not isinstance(p, Categorical) for p in columns.space])
        return cls(columns, relevance, numbers * relevance**2 * rng.lognormal(0.0, 0.5, len(relevance)))

    def features(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Squares, and the inputs themselves."""
        return np.hstack([inputs**2, inputs])

    def weights(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Those of the sum of curvature (x - best)^2 over the active numbers, and of an effect of each choice."""
        owner, binary = self.columns.owner, self.columns.binary
        best = np.array([_best_place(p, rng) for p in self.columns.space])[owner]
        effects = CHOICE_EFFECT * self.relevance[owner] * rng.standard_normal(len(owner))
        bent = self.curvature[owner]
        ones = np.where(bent > 0, np.sqrt(2.0) * bent * best**2, effects)  # where active the column is 1 / sqrt(2)
        return np.hstack([np.where(binary, 0.0, bent), np.where(binary, ones, -2.0 * bent * best)])


def _best_place(p: Parameter, rng: np.random.Generator) -> float:
    """Where in [-0.5, 0.5] a bowl is deepest."""
    if not isinstance(p, Categorical) and p.log:
        return float(rng.uniform(-0.5, 0.5))
    return float(np.clip(rng.normal(p.to_unit(p.default) - 0.5, NEAR_DEFAULT), -0.5, 0.5))


@dataclass(frozen=True, eq=False)
class Branches:
    """An offset for each choice that decides which other hyperparameters there are.

    Attributes:
        columns: of such choices, shape (w,).
    """

    columns: NDArray[np.intp]

    @classmethod
    def of(cls, columns: Columns) -> Branches:
        """Those of a space with conditions."""
        parents = {p.when[0] for p in columns.space if p.when is not None}
        deciding = np.array([p.name in parents for p in columns.space])
        return cls(np.flatnonzero(deciding[columns.owner]))

    def features(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The choices as 0/1 columns."""
        return inputs[:, self.columns]

    def weights(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Normal ones."""
        return rng.standard_normal(len(self.columns))


def relevances(space: Space, rng: np.random.Generator) -> NDArray[np.float64]:
    """Of the hyperparameters, shape (d,): many are 0, but not all that every config has, nor all numbers."""
    lengths = np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST), len(space)))
    matters = rng.random(len(space)) >= IRRELEVANT
    always = [i for i, p in enumerate(space) if p.when is None]
    numbers = [i for i, p in enumerate(space) if not isinstance(p, Categorical)]
    for some in filter(None, (always, numbers)):
        matters[rng.choice(some)] = True
    return np.where(matters, 1.0 / lengths, 0.0)
