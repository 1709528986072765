"""Hyperparameters: a range or a list of choices, and the cast of one value to and from [0, 1]."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from autometa.errors import SpaceError

if TYPE_CHECKING:
    from collections.abc import Mapping

Value: TypeAlias = bool | int | float | str
Condition: TypeAlias = tuple[str, tuple[Value, ...]]

# Floats are held to this many significant digits, so that the way through the unit cube and back,
# whose error is about 1e-14, returns the very same number.
DIGITS = 12


def _tidy(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True, kw_only=True)
class Float:
    """A real hyperparameter in [low, high], uniform in its logarithm where ``log``."""

    name: str
    low: float
    high: float
    log: bool = False
    default: float
    when: Condition | None = None

    def __post_init__(self) -> None:
        for bound in ("low", "high", "default"):
            object.__setattr__(self, bound, _tidy(float(getattr(self, bound))))
        _check_range(self)

    def holds(self, value: Value) -> bool:
        """Whether the value is one that this hyperparameter may take."""
        if isinstance(value, bool | str):
            return False
        return self.low <= value <= self.high

    def to_unit(self, value: Value) -> float:
        """The place of a value in [0, 1]."""
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(float(value) / self.low) / math.log(self.high / self.low)
        return (float(value) - self.low) / (self.high - self.low)

    def from_unit(self, unit: float) -> float:
        """The value at a place in [0, 1], to 12 significant digits."""
        if self.log:
            value = self.low * math.exp(unit * math.log(self.high / self.low))
        else:
            value = self.low + unit * (self.high - self.low)
        return self.tidy(value)

    def tidy(self, value: float) -> float:
        """The value at 12 significant digits, kept inside the range."""
        return min(max(_tidy(value), self.low), self.high)


@dataclass(frozen=True, kw_only=True)
class Int:
    """A whole-number hyperparameter in [low, high]; every value owns an equal (log: log-equal) cell."""

    name: str
    low: int
    high: int
    log: bool = False
    default: int
    when: Condition | None = None

    def __post_init__(self) -> None:
        _check_range(self)

    def holds(self, value: Value) -> bool:
        """Whether the value is one that this hyperparameter may take."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high

    @cached_property
    def _edges(self) -> tuple[float, float]:
        low, high = self.low - 0.5, self.high + 0.5
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def to_unit(self, value: Value) -> float:
        """The place of a value in (0, 1)."""
        low, high = self._edges
        place = math.log(value) if self.log else float(value)  # type: ignore[arg-type]
        return (place - low) / (high - low)

    def from_unit(self, unit: float) -> int:
        """The value at a place in [0, 1]."""
        low, high = self._edges
        place = low + unit * (high - low)
        value = round(math.exp(place) if self.log else place)
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """A hyperparameter that takes one of a few values without an order."""

    name: str
    choices: tuple[Value, ...]
    default: Value
    when: Condition | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        if not self.choices or len({(type(c), c) for c in self.choices}) < len(self.choices):
            raise SpaceError(
                f"the choices of a categorical parameter must be different and at least one; "
                f"{self.name!r} has {list(self.choices)}"
            )
        if not self.holds(self.default):
            raise SpaceError(
                f"the default must be one of the choices {list(self.choices)}; "
                f"{self.name!r} has default {self.default!r}"
            )

    def holds(self, value: Value) -> bool:
        """Whether the value is one that this hyperparameter may take."""
        return self._place(value) is not None

    def _place(self, value: Value) -> int | None:
        try:
            return self._places.get((type(value), value))
        except TypeError:  # what cannot be hashed, such as a list, is no choice
            return None

    @cached_property
    def _places(self) -> dict[tuple[type, Value], int]:
        # True == 1 == 1.0 in Python; here they are different choices. NaN, which equals nothing, is none.
        return {(type(c), c): i for i, c in enumerate(self.choices) if c == c}  # noqa: PLR0124

    def to_unit(self, value: Value) -> float:
        """The middle of the value's cell in (0, 1)."""
        place = self._place(value)
        if place is None:
            raise SpaceError(f"{self.name!r} must be one of {list(self.choices)}; got {value!r}")
        return (place + 0.5) / len(self.choices)

    def from_unit(self, unit: float) -> Value:
        """The value whose cell holds the place."""
        return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]


Parameter: TypeAlias = Float | Int | Categorical


def _check_range(p: Float | Int) -> None:
    if not p.low <= p.default <= p.high:
        raise SpaceError(f"low <= default <= high must hold; {p.name!r} has {p.low}, {p.default}, {p.high}")
    if p.log and p.low <= 0:
        raise SpaceError(f"a log scale needs low > 0; {p.name!r} has low={p.low}")


def parameter_from_table(name: str, table: Mapping[str, Any]) -> Parameter:
    """The parameter that one ``[parameters.NAME]`` table of a space file describes."""
    fields = dict(table)
    kind = fields.pop("type", None)
    when = fields.pop("when", None)
    if when is not None:
        ((parent, values),) = when.items()
        fields["when"] = (parent, tuple(values))
    kinds: dict[str, type[Parameter]] = {"float": Float, "int": Int, "categorical": Categorical}
    if kind not in kinds:
        raise SpaceError(f"type must be float, int or categorical; {name!r} has {kind!r}")
    return kinds[kind](name=name, **fields)


def table_from_parameter(p: Parameter) -> dict[str, Any]:
    """The ``[parameters.NAME]`` table that :func:`parameter_from_table` makes the parameter of."""
    if isinstance(p, Categorical):
        table: dict[str, Any] = {"type": "categorical", "choices": list(p.choices), "default": p.default}
    else:
        kind = "float" if isinstance(p, Float) else "int"
        table = {"type": kind, "low": p.low, "high": p.high, "log": p.log, "default": p.default}
    return table if p.when is None else table | {"when": {p.when[0]: list(p.when[1])}}


def narrow(p: Parameter, change: Mapping[str, Any]) -> Parameter:
    """The same parameter with fewer choices or a narrower range."""
    keys = ("choices", "default") if isinstance(p, Categorical) else ("low", "high", "default")
    unknown = set(change) - set(keys)
    if unknown:
        raise SpaceError(f"{p.name!r} can be narrowed by {', '.join(keys)}; got {unknown.pop()!r}")
    if isinstance(p, Categorical):
        choices = tuple(change.get("choices", p.choices))
        foreign = [c for c in choices if not p.holds(c)]
        if foreign:
            raise SpaceError(f"{p.name!r} offers {list(p.choices)}; got {foreign[0]!r}")
        kept = p.default if p.default in choices else (choices or p.choices)[0]
        return replace(p, choices=choices, default=change.get("default", kept))
    low, high = change.get("low", p.low), change.get("high", p.high)
    if not p.low <= low <= high <= p.high:
        raise SpaceError(f"{p.name!r} lies in [{p.low}, {p.high}]; got [{low}, {high}]")
    return replace(p, low=low, high=high, default=change.get("default", min(max(p.default, low), high)))
