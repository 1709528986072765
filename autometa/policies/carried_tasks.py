"""Past tasks in the space of a new one: what they say of any pool of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.pool_memory import PoolMemory
from autometa.policies.surrogates import Surrogates
from autometa.pool import Pool, kernel_inputs
from autometa.records.prior_tasks import PriorTasks
from autometa.space import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from autometa.space import Space


@dataclass(frozen=True, eq=False)
class CarriedTask:
    """What a past task says in another space.

    Attributes:
        name, features: of the task.
        shared: which hyperparameters of the space it has.
        surrogate: over them.
        known: losses by the key of their config, tamed.
    """

    name: str
    features: Mapping[str, float | str]
    shared: tuple[bool, ...]
    surrogate: Surrogates
    known: dict[Key, float]

    def on(self, pool: Pool) -> NDArray[np.float64]:
        """Losses of all configs of a pool, tamed, shape (C,), foretold where they were not evaluated."""
        units = np.where(self.shared, pool.units, np.nan)
        (losses,) = self.surrogate.foretell(points_of(pool.space, units))
        for wanted, loss in self.known.items():
            place = pool.find(wanted)
            if place is not None:
                losses[place] = loss
        return np.asarray(losses)


@dataclass(frozen=True, eq=False)
class CarriedTasks:
    """What all past tasks say in one space.

    Attributes:
        space: of the pools that are asked about.
        recorded: tasks on shared configs of that space or of a larger one, without gaps; None for none.
        tasks: others.
    """

    space: Space
    recorded: PriorTasks | None
    tasks: tuple[CarriedTask, ...]
    _losses: PoolMemory[NDArray[np.float64]] = field(default_factory=PoolMemory, repr=False)

    def on(self, pool: Pool) -> PriorTasks:
        """Their losses of all configs of a pool."""
        names = [t.name for t in self.tasks]
        features = [t.features for t in self.tasks]
        if self.recorded is not None:
            names = [*self.recorded.names, *names]
            features = [*(self.recorded.features or [{}] * len(self.recorded)), *features]
        losses = np.concatenate(self._losses.parts(pool, self._on_part), axis=1)
        return PriorTasks(pool, tuple(names), losses, tuple(features))

    def _on_part(self, pool: Pool) -> NDArray[np.float64]:
        """Shape (S, C)."""
        tables = [t.on(pool)[None, :] for t in self.tasks]
        if self.recorded is not None:
            theirs = self.recorded.pool.space  # of which the space asked about may be a part
            units = pool.units if theirs is self.space else Pool(theirs, pool.configs).units
            losses = self._surrogates.foretell(points_of(theirs, units))
            for i, config in enumerate(self.recorded.pool):
                place = pool.place(config)
                if place is not None:
                    losses[:, place] = self.recorded.losses[:, i]
            tables.insert(0, losses)
        return np.concatenate(tables) if tables else np.zeros((0, len(pool)))

    @cached_property
    def _surrogates(self) -> Surrogates:
        assert self.recorded is not None
        return Surrogates.fit(points_of(self.recorded.pool.space, self.recorded.pool.units), self.recorded.losses)


def points_of(space: Space, units: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places in the unit cube, shape (C, d), as points for a kernel that are the same whatever else is in a pool."""
    return kernel_inputs(space, units, flagged=[p.when is not None for p in space])
