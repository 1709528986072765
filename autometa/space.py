"""Search spaces: parameters, their conditions, and the one cast of configs to and from the unit cube.

A space is a list of parameters, each with a name; a parameter may depend on the value of one
earlier categorical parameter (``when``). A config holds the active parameters only. Spaces are
read from TOML files (:meth:`Space.load`) or built from Optuna distributions.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib.resources import files
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autometa.errors import SpaceError
from autometa.parameters import (
    Categorical,
    Float,
    Int,
    Parameter,
    Value,
    narrow,
    parameter_from_table,
    table_from_parameter,
)

if TYPE_CHECKING:
    import optuna
    from numpy.typing import NDArray

Config: TypeAlias = Mapping[str, Value]
Key: TypeAlias = tuple[tuple[str, str], ...]


def key(config: Config) -> Key:
    """Something equal for equal configs and hashable."""
    return tuple(sorted((name, repr(value)) for name, value in config.items()))


@dataclass(frozen=True)
class Space:
    """A search space: parameters in an order where each follows the one it depends on.

    Attributes:
        name: a short name, such as "tabular".
        parameters: the d hyperparameters.
        version: what recordings refer to, such as "tabular-1".
        fidelity: the name of the parameter that carries the budget, if one does.

    Raises:
        SpaceError: names repeat, or a condition names no earlier categorical parameter.
    """

    name: str
    parameters: tuple[Parameter, ...]
    version: str = ""
    fidelity: str | None = None
    _by_name: dict[str, Parameter] = field(init=False, repr=False, compare=False)
    # Neighbours of one condition, each with the place of its first: a condition is looked at once for all of them.
    _groups: tuple[tuple[int, tuple[Parameter, ...]], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        seen: dict[str, Parameter] = {}
        for p in self.parameters:
            if p.name in seen:
                raise SpaceError(f"parameter names must be different; {p.name!r} is there twice")
            if p.when is not None:
                parent = seen.get(p.when[0])
                if not isinstance(parent, Categorical):
                    raise SpaceError(
                        f"a condition must name an earlier categorical parameter; {p.name!r} depends on {p.when[0]!r}"
                    )
                foreign = [v for v in p.when[1] if not parent.holds(v)]
                if foreign or not p.when[1]:
                    raise SpaceError(
                        f"a condition must list choices of {parent.name!r} "
                        f"({list(parent.choices)}); {p.name!r} lists {list(p.when[1])}"
                    )
            seen[p.name] = p
        if self.fidelity is not None and self.fidelity not in seen:
            raise SpaceError(f"the fidelity must be a parameter; got {self.fidelity!r}")
        object.__setattr__(self, "_by_name", seen)
        groups = [tuple(group) for _, group in groupby(self.parameters, key=lambda p: p.when)]
        first = accumulate((len(group) for group in groups), initial=0)
        object.__setattr__(self, "_groups", tuple(zip(first, groups, strict=False)))

    def __len__(self) -> int:
        return len(self.parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        if name not in self._by_name:
            near = get_close_matches(name, self._by_name, 3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise SpaceError(f"space {self.name!r} has no parameter {name!r}{hint}")
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    # Reading

    @classmethod
    def load(cls, source: str | Path) -> Space:
        """Read a space from a TOML file, or a shipped one by name.

        A file either lists all ``[parameters.NAME]`` tables, or says ``extends = "tabular"`` and
        lists only what it narrows: ``choices``, ``low``, ``high`` or ``default``.

        Raises:
            SpaceError: there is no such space or file, or it breaks a rule of this class.
        """
        path = Path(source)
        if path.suffix != ".toml":
            path = shipped_data("search_spaces") / f"{source}.toml"
            if not path.is_file():
                raise SpaceError(f"a space is a .toml file or one of {', '.join(shipped_spaces())}; got {source}")
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise SpaceError(f"the space file {path} does not exist; check the path") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise SpaceError(f"the space file {path} cannot be read as TOML: {error}") from error
        try:
            return cls._from_document(document, path.stem)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            if isinstance(error, SpaceError):
                raise
            raise SpaceError(f"the space file {path} has a malformed entry: {error}") from error

    @classmethod
    def _from_document(cls, document: Mapping[str, Any], stem: str) -> Space:
        tables: Mapping[str, Mapping[str, Any]] = document.get("parameters", {})
        if "extends" in document:
            space = cls.load(document["extends"]).restrict(tables)
            return replace(space, name=document.get("name", stem))
        if not tables:
            raise SpaceError(f"a space needs [parameters.NAME] tables; {stem!r} has none")
        return cls(
            document.get("name", stem),
            tuple(parameter_from_table(name, table) for name, table in tables.items()),
            document.get("version", ""),
            document.get("fidelity"),
        )

    def to_toml(self) -> str:
        """The space as a file that :meth:`load` reads."""
        import tomli_w

        head = {"name": self.name, "version": self.version}
        if self.fidelity is not None:
            head["fidelity"] = self.fidelity
        return tomli_w.dumps(head | {"parameters": {p.name: table_from_parameter(p) for p in self.parameters}})

    @classmethod
    def from_optuna(
        cls,
        distributions: Mapping[str, optuna.distributions.BaseDistribution],
        *,
        name: str = "optuna",
    ) -> Space:
        """The flat space of Optuna distributions; a stepped range becomes a list of choices.

        Raises:
            SpaceError: a choice is not a bool, number or string.
        """
        import optuna.distributions as od

        parameters: list[Parameter] = []
        for key, d in distributions.items():
            if isinstance(d, od.CategoricalDistribution):
                odd = [c for c in d.choices if not isinstance(c, bool | int | float | str)]
                if odd:
                    raise SpaceError(f"choices must be bools, numbers or strings; {key!r} offers {odd[0]!r}")
                choices: tuple[Any, ...] = tuple(d.choices)
                parameters.append(Categorical(name=key, choices=choices, default=choices[0]))
            elif isinstance(d, od.IntDistribution) and d.step == 1:
                middle = Int(name=key, low=d.low, high=d.high, log=d.log, default=d.low)
                default = middle.from_unit(0.5)
                parameters.append(replace(middle, default=default))
            elif isinstance(d, od.FloatDistribution) and d.step is None:
                centre = Float(name=key, low=d.low, high=d.high, log=d.log, default=d.low)
                parameters.append(replace(centre, default=centre.from_unit(0.5)))
            elif isinstance(d, od.IntDistribution | od.FloatDistribution):
                count = round((d.high - d.low) / d.step) + 1  # type: ignore[operator]
                steps = tuple(d.low + i * d.step for i in range(count))  # type: ignore[operator]
                parameters.append(Categorical(name=key, choices=steps, default=steps[count // 2]))
            else:
                raise SpaceError(f"unknown kind of distribution for {key!r}: {d!r}")
        return cls(name, tuple(parameters))

    # Conditions

    def active(self, config: Config) -> Iterator[Parameter]:
        """The parameters that are active given the values of their parents in ``config``."""
        known: dict[str, Value] = {}  # values of active parameters only: an inactive parent activates nothing
        for _, group in self._groups:
            if _is_active(group[0], known):
                for p in group:
                    if p.name in config:
                        known[p.name] = config[p.name]
                    yield p

    def check(self, config: Config) -> None:
        """Hold a config to the space.

        Raises:
            SpaceError: a value is out of range, an active parameter is missing, or an unknown or
                inactive one is there.
        """
        expected = set()
        for p in self.active(config):
            expected.add(p.name)
            if p.name not in config:
                raise SpaceError(f"a config must hold every active parameter; {p.name!r} is missing")
            if not p.holds(config[p.name]):
                allowed = f"one of {list(p.choices)}" if isinstance(p, Categorical) else f"in [{p.low}, {p.high}]"
                raise SpaceError(f"{p.name!r} must be {allowed}; got {config[p.name]!r}")
        for name in config:
            if name not in expected:
                state = "inactive here" if self[name] else ""
                raise SpaceError(f"a config holds active parameters only; {name!r} is {state}")

    def has(self, config: Config) -> bool:
        """Whether a config is one of this space."""
        try:
            self.check(config)
        except SpaceError:
            return False
        return True

    def complete(self, values: Config) -> dict[str, Value]:
        """The config that takes ``values`` where they are active and defaults elsewhere."""
        config: dict[str, Value] = {}
        for p in self.parameters:
            if _is_active(p, config):
                config[p.name] = values.get(p.name, p.default)
        return config

    def fit(self, values: Config) -> dict[str, Value] | None:
        """The nearest config of this space: numbers clipped into range; None if a choice is not offered."""
        config: dict[str, Value] = {}
        for p in self.parameters:
            if not _is_active(p, config):
                continue
            value = values.get(p.name, p.default)
            if not p.holds(value):
                if isinstance(p, Categorical) or isinstance(value, str | bool):
                    return None
                value = min(max(value, p.low), p.high)
            config[p.name] = value
        return config

    def restrict(self, changes: Mapping[str, Mapping[str, Any]]) -> Space:
        """A narrower space: new ``choices``, ``low``, ``high`` or ``default`` by parameter name.

        A default that falls outside moves to the nearest value inside; parameters that can no
        longer become active are dropped.

        Raises:
            SpaceError: an unknown parameter or key, or a range that is not inside the old one.
        """
        for name, change in changes.items():
            narrowed = narrow(self[name], change)
            parameters = tuple(narrowed if p.name == name else p for p in self.parameters)
            self = replace(self, parameters=_reachable(parameters))  # noqa: PLW0642 (one step of narrowing after another)
        return self

    # The unit cube

    def to_unit(self, config: Config) -> NDArray[np.float64]:
        """The place of a config in the unit cube, shape (d,); NaN where inactive."""
        return np.array([p.to_unit(config[p.name]) if p.name in config else math.nan for p in self.parameters])

    def to_units(self, configs: Sequence[Config]) -> NDArray[np.float64]:
        """The places of n configs in the unit cube, shape (n, d); NaN where inactive."""
        units = np.full((len(configs), len(self)), np.nan)
        for place, p in enumerate(self.parameters):
            held = [i for i, config in enumerate(configs) if p.name in config]
            units[held, place] = [p.to_unit(configs[i][p.name]) for i in held]
        return units

    def from_unit(self, unit: Sequence[float] | NDArray[np.float64]) -> dict[str, Value]:
        """The config at a place in the unit cube; coordinates of inactive parameters are not read."""
        config: dict[str, Value] = {}
        for first, group in self._groups:
            if _is_active(group[0], config):
                for p, u in zip(group, unit[first : first + len(group)], strict=True):
                    config[p.name] = p.default if math.isnan(u) else p.from_unit(float(u))
        return config

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """A config drawn uniformly from the unit cube."""
        return self.from_unit(rng.random(len(self.parameters)))

    # Optuna

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Value]:
        """Ask an Optuna trial for each active parameter in turn."""
        config: dict[str, Value] = {}
        for p in self.parameters:
            if not _is_active(p, config):
                continue
            if isinstance(p, Float):
                config[p.name] = p.tidy(trial.suggest_float(p.name, p.low, p.high, log=p.log))
            elif isinstance(p, Int):
                config[p.name] = trial.suggest_int(p.name, p.low, p.high, log=p.log)
            else:
                config[p.name] = trial.suggest_categorical(p.name, p.choices)  # type: ignore[assignment]
        return config

    def distributions(self, config: Config | None = None) -> dict[str, optuna.distributions.BaseDistribution]:
        """The Optuna distributions of the parameters that are active in ``config``, of all where it is None."""
        import optuna.distributions as od

        result: dict[str, od.BaseDistribution] = {}
        for p in self if config is None else self.active(config):
            if isinstance(p, Float):
                result[p.name] = od.FloatDistribution(p.low, p.high, log=p.log)
            elif isinstance(p, Int):
                result[p.name] = od.IntDistribution(p.low, p.high, log=p.log)
            else:
                result[p.name] = od.CategoricalDistribution(p.choices)
        return result


def _is_active(p: Parameter, config: Config) -> bool:
    """Whether a parameter is active, given the active values of those before it."""
    return p.when is None or (p.when[0] in config and config[p.when[0]] in p.when[1])


def shipped_spaces() -> list[str]:
    """The names of the spaces that come with autometa."""
    return sorted(p.stem for p in shipped_data("search_spaces").glob("*.toml"))


def shipped_data(name: str) -> Path:
    """A folder of data, such as search_spaces: inside the installed package, else beside it in a checkout."""
    package = Path(str(files("autometa")))
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def _reachable(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Drop parameters whose condition can no longer hold; shorten the lists of the others."""
    kept: dict[str, Parameter] = {}
    for p in parameters:
        if p.when is None:
            kept[p.name] = p
            continue
        parent = kept.get(p.when[0])
        if isinstance(parent, Categorical):
            values = tuple(v for v in p.when[1] if parent.holds(v))
            if values:
                kept[p.name] = replace(p, when=(p.when[0], values))
    return tuple(kept.values())
