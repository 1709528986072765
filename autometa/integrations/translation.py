"""Optuna's distributions as a space, and values from one to the other.

Three things differ. A stepped range is a plain range in the space, whose configs are moved to the steps on their way
out, each step owning an equal part. A choice that is no bool, number or string (None, say) goes by its ``repr``. Floats
of a space have 12 significant digits, Optuna's all they have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autometa.errors import SpaceError
from autometa.parameters import Categorical, Value
from autometa.space import Config, Space

SpaceLike: TypeAlias = Space | str | Path | Mapping[str, BaseDistribution]


@dataclass(frozen=True)
class Translation:
    """A space, and the distributions that its values have in Optuna.

    Attributes:
        space: what policies see.
        distributions: of every parameter of the space, by name.
    """

    space: Space
    distributions: Mapping[str, BaseDistribution]

    @classmethod
    def of(cls, space: SpaceLike, *, name: str = "optuna") -> Translation:
        """A translation for a space, the name of a shipped one, the path of a TOML file, or Optuna's distributions.

        Args:
            space: any of these.
            name: of a space made of distributions.

        Raises:
            SpaceError: there is no such space, or the distributions make none.
        """
        if isinstance(space, Mapping):
            odd = [key for key, d in space.items() if not isinstance(d, BaseDistribution)]
            if odd:
                raise SpaceError(
                    f"a space as a dict holds Optuna distributions; {odd[0]!r} is {space[odd[0]]!r}: "
                    "write FloatDistribution(0.0, 1.0), say"
                )
            plain = {key: _plain(d) for key, d in space.items()}
            return cls(Space.from_optuna(plain, name=name), dict(space))
        found = space if isinstance(space, Space) else Space.load(space)
        return cls(found, found.distributions())

    def values_of(self, params: Mapping[str, Any]) -> Config:
        """What parameters are in the space, without those that it lacks and those outside."""
        found = {name: self.value_of(name, value) for name, value in params.items() if name in self.space}
        return {name: value for name, value in found.items() if value is not None}

    def config_of(self, params: Mapping[str, Any]) -> Config | None:
        """The config with these parameters, and defaults where an active one is missing; None if a value is outside."""
        inside, outside = {}, set()
        for name, value in params.items():
            if name in self.space:
                found = self.value_of(name, value)
                if found is None:
                    outside.add(name)
                else:
                    inside[name] = found
        config = self.space.complete(inside)
        return None if outside & config.keys() else config

    def params_of(self, config: Config) -> dict[str, Any]:
        """The parameters as Optuna has them."""
        return {name: self._param_of(name, value) for name, value in config.items()}

    def value_of(self, name: str, value: Any) -> Value | None:
        """What a parameter's value is in the space; None if it is outside."""
        p, d = self.space[name], self.distributions[name]
        if isinstance(p, Categorical):
            try:
                return p.choices[int(d.to_internal_repr(value))]
            except ValueError:
                return None
        assert isinstance(d, FloatDistribution | IntDistribution)
        if isinstance(value, bool) or not isinstance(value, int | float) or not d.low <= value <= d.high:
            return None
        nearest = min(max(value, p.low), p.high)  # the bounds of the space are rounded
        return nearest if p.holds(nearest) else None

    def _param_of(self, name: str, value: Value) -> Any:
        p, d = self.space[name], self.distributions[name]
        if isinstance(d, CategoricalDistribution):
            assert isinstance(p, Categorical)
            return d.choices[int(p.to_unit(value) * len(p.choices))]
        assert isinstance(d, FloatDistribution | IntDistribution)
        number = min(max(value, d.low), d.high)
        if d.step is not None and d.low < d.high:
            steps = round((d.high - d.low) / d.step)
            place = min(int((number - d.low) / (d.high - d.low) * (steps + 1)), steps)  # type: ignore[operator]
            number = min(d.low + place * d.step, d.high)
        return float(number) if isinstance(d, FloatDistribution) else int(number)


def _plain(distribution: BaseDistribution) -> BaseDistribution:
    """The distribution without steps and without choices that a space cannot hold."""
    d = distribution
    if isinstance(d, CategoricalDistribution):
        return CategoricalDistribution(tuple(_named(choice) for choice in d.choices))
    if isinstance(d, FloatDistribution):
        return FloatDistribution(d.low, d.high, log=d.log)
    if isinstance(d, IntDistribution):
        return IntDistribution(d.low, d.high, log=d.log)
    return d


def _named(choice: Any) -> Value:
    """The choice, or its ``repr`` where it is none of the types of a space or differs from itself (NaN)."""
    if isinstance(choice, str | bool | int | float) and choice == choice:  # noqa: PLR0124 (that is what NaN does)
        return choice
    return repr(choice)
