"""The shape in which a user writes a search space and gets configs back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from optuna.distributions import BaseDistribution

from autometa.errors import SpaceError
from autometa.integrations.ray_spaces import RaySpace
from autometa.integrations.translation import SpaceLike, Translation
from autometa.parameters import table_from_parameter
from autometa.space import Config, Space

AnySpace: TypeAlias = SpaceLike | Mapping[str, Any]


class Shape(Protocol):
    """A space in a shape of its user's."""

    @property
    def space(self) -> Space:
        """What policies see."""
        ...

    def rounded(self, config: Config) -> Config:
        """The config that is tried when one is given out; steps of ranges count."""
        ...

    def suggestion(self, config: Config) -> dict[str, Any]:
        """A config as the user has it."""
        ...

    def as_data(self) -> dict[str, Any]:
        """What it is known by, as plain values of JSON."""
        ...

    def values(self, point: Mapping[str, Any]) -> Config:
        """The values that a point of the user's fixes.

        Raises:
            SpaceError: it does not fit the space.
        """
        ...

    def part(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What of a user's config is in the space: constants are not."""
        ...


@dataclass(frozen=True)
class FlatShape:
    """A space whose configs are one dict of parameters by name: one of ours, or of Optuna's distributions.

    Attributes:
        translation: to what the user has.
    """

    translation: Translation

    @property
    def space(self) -> Space:
        """See :class:`Shape`."""
        return self.translation.space

    def rounded(self, config: Config) -> Config:
        """See :class:`Shape`."""
        back = self.translation.config_of(self.translation.params_of(config))
        assert back is not None
        return back

    def suggestion(self, config: Config) -> dict[str, Any]:
        """See :class:`Shape`."""
        return self.translation.params_of(config)

    def as_data(self) -> dict[str, Any]:
        """See :class:`Shape`."""
        return {"parameters": {p.name: table_from_parameter(p) for p in self.space}}

    def values(self, point: Mapping[str, Any]) -> Config:
        """See :class:`Shape`."""
        found = self.translation.values_of(point)
        for name, value in point.items():
            if name not in found:
                self.space[name]  # says which names there are
                raise SpaceError(
                    f"a point must be inside the space; {name!r} is {value!r}, and the space has "
                    f"{self.translation.distributions[name]}: change one of them"
                )
        return found

    def part(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`Shape`."""
        return {name: value for name, value in params.items() if name in self.space}


def shape_of(space: AnySpace) -> Shape:
    """The shape of any space that a user may write.

    Raises:
        SpaceError: there is no such space, or it cannot be searched.
    """
    if isinstance(space, Space | str | Path) or (
        space and all(isinstance(d, BaseDistribution) for d in space.values())
    ):
        return FlatShape(Translation.of(space))
    return RaySpace.of(space)
