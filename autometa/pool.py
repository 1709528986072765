"""A finite pool of configs to choose from, with what is computed of it once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np

from autometa.parameters import Categorical
from autometa.space import key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.space import Config, Key, Space

GRAIN = 1_000  # steps of a range: configs that no step tells apart count as the same


def kernel_inputs(space: Space, units: NDArray[np.float64], *, flagged: Sequence[bool]) -> NDArray[np.float64]:
    """Places in the unit cube as points for a kernel, shape (C, t); see :attr:`Pool.inputs`.

    Args:
        space: of the configs.
        units: shape (C, d); NaN where a hyperparameter is not active.
        flagged: which numbers come with a column of whether they are active, one for each hyperparameter.
    """
    columns = []
    for place, p in enumerate(space):
        unit = units[:, place]
        active = ~np.isnan(unit)
        if isinstance(p, Categorical):
            chosen = np.floor(np.where(active, unit, -1.0) * len(p.choices))
            columns += [(chosen == i) / np.sqrt(2.0) for i in range(len(p.choices))]
        else:
            columns.append(np.where(active, np.nan_to_num(unit) - 0.5, 0.0))
            if flagged[place]:
                columns.append(active / np.sqrt(2.0))
    return np.stack(columns, axis=1) if columns else np.zeros((len(units), 1))


class Pool(Sequence["Config"]):
    """C configs of one space.

    Args:
        space: of the configs.
        configs: in an order that stays.
    """

    def __init__(self, space: Space, configs: Iterable[Config]) -> None:
        self.space = space
        self.configs = tuple(configs)
        self._parts: tuple[Pool, ...] = ()
        # Replay hands back the very objects of the pool: looking them up by identity spares most of the hashing.
        self._by_identity = {id(c): i for i, c in enumerate(self.configs)}

    @classmethod
    def of(cls, space: Space, configs: Sequence[Config]) -> Pool:
        """The pool itself where the configs are one, else a pool of them."""
        return configs if isinstance(configs, Pool) else cls(space, configs)

    @classmethod
    def keyed(cls, space: Space, configs: Mapping[Key, Config]) -> Pool:
        """A pool of configs whose :func:`key` is known."""
        pool = cls(space, configs.values())
        pool._by_key = {k: i for i, k in enumerate(configs)}
        return pool

    @classmethod
    def joined(cls, parts: Sequence[Pool]) -> Pool:
        """The configs of several pools of one space, which have none in common.

        What is known of the configs of a part need not be found again for the whole.
        """
        pool = cls(parts[0].space, [config for part in parts for config in part])
        pool._parts = tuple(parts)
        return pool

    @property
    def parts(self) -> tuple[Pool, ...]:
        """The pools that this one was joined of, in their order; itself where it was not."""
        return self._parts or (self,)

    def __reduce__(self) -> tuple[type[Pool], tuple[Space, tuple[Config, ...]]]:
        return Pool, (self.space, self.configs)  # addresses mean nothing in a copy

    @overload
    def __getitem__(self, place: int) -> Config: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Config]: ...
    def __getitem__(self, place: int | slice) -> Config | Sequence[Config]:
        return self.configs[place]

    def __len__(self) -> int:
        return len(self.configs)

    def place(self, config: Config) -> int | None:
        """Where a config stands in the pool; None if it does not."""
        found = self._by_identity.get(id(config))
        return self.find(key(config)) if found is None else found

    def find(self, wanted: Key) -> int | None:
        """Where the config with a :func:`key` stands in the pool; None if it does not."""
        if not self._parts:
            return self._by_key.get(wanted)
        before = 0
        for part in self._parts:
            found = part.find(wanted)
            if found is not None:
                return before + found
            before += len(part)
        return None

    @cached_property
    def _by_key(self) -> dict[Key, int]:
        return {key(c): i for i, c in reversed(list(enumerate(self.configs)))}

    @cached_property
    def units(self) -> NDArray[np.float64]:
        """The configs in the unit cube, shape (C, d); NaN where a hyperparameter is not active."""
        if self._parts:
            return np.concatenate([part.units for part in self._parts])
        return self.space.to_units(self.configs)

    @cached_property
    def cells(self) -> list[bytes]:
        """Of each config; equal for those of the same choices whose numbers no step of a range tells apart (GRAIN)."""
        if self._parts:
            return [cell for part in self._parts for cell in part.cells]
        grid = np.round(GRAIN * np.nan_to_num(self.units, nan=-1.0)).astype(np.int16)
        return [row.tobytes() for row in grid]

    @cached_property
    def inputs(self) -> NDArray[np.float64]:
        """The configs as points for a kernel, shape (C, t): conditions are part of the distance.

        Per number: its place about the middle where active, else 0, and whether it is active where that varies.
        Per categorical: one 0/1 column for each choice, all 0 where it is not active. Two choices are as far apart as
        the ends of a range.
        """
        return kernel_inputs(self.space, self.units, flagged=[bool(gaps.any()) for gaps in np.isnan(self.units).T])

    def nearest(self, wanted: Config, among: Sequence[int] | NDArray[np.intp], *, seed: Sequence[int]) -> int:
        """The place of the config of the same branch that is closest to one which need not be in the pool.

        A branch that is used up gives a random config: the nearest of another branch would be no answer to the wish.

        Args:
            wanted: a config of the space.
            among: at least one place of the pool.
            seed: of the random config.
        """
        units = self.units[np.asarray(among)]
        place = self.space.to_unit(wanted)
        same_branch = (np.isnan(units) == np.isnan(place)).all(axis=1)
        for root in self._roots:
            same_branch &= units[:, root] == place[root]
        if not same_branch.any():
            return int(np.random.default_rng(list(seed)).choice(np.asarray(among)))
        active = ~np.isnan(place)
        distance = ((units[:, active] - place[active]) ** 2).sum(axis=1)
        return int(among[int(np.argmin(np.where(same_branch, distance, np.inf)))])

    @cached_property
    def _roots(self) -> list[int]:
        """Places of the hyperparameters whose choice makes a branch."""
        parents = {p.when[0] for p in self.space if p.when is not None}
        return [i for i, p in enumerate(self.space) if p.name in parents and p.when is None]
