"""Ray Tune's search spaces as spaces of ours, and configs in the shape that their users wrote them in.

A search space is a tree of dicts and lists with ranges and choices as leaves. A choice among dicts that hold ranges
themselves makes these depend on it. Parameters are named by their path ("optimizer/rate"); below a choice the number
of the alternative is part of it ("optimizer/0/rate").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autometa.errors import SpaceError
from autometa.integrations.ray_domains import TAKEN, Leaf, is_searched, leaves, tidy, tree_of
from autometa.integrations.translation import Translation
from autometa.integrations.tree_data import as_data, from_data
from autometa.space import Config, Space


@dataclass(frozen=True)
class RaySpace:
    """A search space of Ray Tune.

    Attributes:
        tree: dicts, lists and tuples with a :class:`Leaf` wherever something is searched.
    """

    tree: Any

    @classmethod
    def of(cls, space: Mapping[str, Any]) -> RaySpace:
        """Read what would be a Tuner's ``param_space``.

        Raises:
            SpaceError: something is in it that no policy can search, or nothing is.
        """
        found = cls(tree_of(space))
        if not found.space.parameters:
            raise SpaceError(
                f"a search space needs something to search; got nothing but constants ({', '.join(map(str, space))}): "
                f"write tune.uniform(0.0, 1.0), say; there are {TAKEN}"
            )
        names = [leaf.name for leaf in leaves(found.tree)]
        if len(found.space) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise SpaceError(f"each path of a search space must be there once; {twice!r} is there twice: rename a key")
        return found

    @staticmethod
    def is_one(space: Mapping[str, Any]) -> bool:
        """Whether there is anything to search."""
        return is_searched(tree_of(space))

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> RaySpace:
        """The space again that :meth:`as_data` is of.

        Raises:
            InputError: it held something else than plain values.
        """
        return cls(from_data(data))

    def as_data(self) -> dict[str, Any]:
        """The space as plain values of JSON."""
        return as_data(self.tree)

    @cached_property
    def _leaves(self) -> dict[str, Leaf]:
        return {leaf.name: leaf for leaf in leaves(self.tree)}

    @cached_property
    def _translation(self) -> Translation:
        flat = Translation.of({leaf.name: leaf.distribution for leaf in self._leaves.values()}, name="ray")
        parameters = tuple(replace(p, when=self._leaves[p.name].when) for p in flat.space)
        return replace(flat, space=Space("ray", parameters))

    @property
    def space(self) -> Space:
        """What policies see."""
        return self._translation.space

    @property
    def searched(self) -> RaySpace:
        """Without the constants that stand beside what is searched, for whoever has them already."""
        return RaySpace(_searched(self.tree))

    def rounded(self, config: Config) -> Config:
        """The config that is tried when one is given out."""
        back = self._translation.config_of(self._params(config))
        assert back is not None
        return back

    def suggestion(self, config: Config) -> dict[str, Any]:
        """The tree with values instead of leaves."""
        found: dict[str, Any] = _filled(self.tree, config, self._params(config))
        return found

    def values(self, point: Mapping[str, Any]) -> Config:
        """What a part of a tree fixes, by name.

        Raises:
            SpaceError: it does not fit the space.
        """
        found = {}
        for name, param in _read(self.tree, point, "the point"):
            value = self._translation.value_of(name, param)
            if value is None:
                raise SpaceError(
                    f"a point must be inside the space; {name!r} is {param!r}, and the space has "
                    f"{self._leaves[name].distribution}: change one of them"
                )
            found[name] = value
        return found

    def part(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What of a config has a place in the tree."""
        found: dict[str, Any] = _part(self.tree, params)
        return found

    def _params(self, config: Config) -> dict[str, Any]:
        params = self._translation.params_of(config)
        for name, value in params.items():
            step, d = self._leaves[name].step, self._leaves[name].distribution
            if step is not None:
                assert isinstance(d, FloatDistribution | IntDistribution)
                params[name] = type(value)(min(max(tidy(round(value / step) * step), d.low), d.high))
        return params


def _searched(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {k: _searched(v) for k, v in node.items() if is_searched(v)}


def _part(node: Any, params: Any) -> Any:
    if not isinstance(node, dict) or not isinstance(params, Mapping):
        return params
    return {k: _part(node[k], v) for k, v in params.items() if k in node}


def _filled(node: Any, config: Config, params: Mapping[str, Any]) -> Any:
    match node:
        case Leaf(choices=()):
            return params[node.name]
        case Leaf():
            assert isinstance(node.distribution, CategoricalDistribution)
            names = node.distribution.choices
            (place,) = (i for i, n in enumerate(names) if type(n) is type(config[node.name]) and n == config[node.name])
            return _filled(node.choices[place], config, params)
        case _ if not is_searched(node):
            return node
        case dict():
            return {k: _filled(v, config, params) for k, v in node.items()}
        case list() | tuple():
            return type(node)(_filled(v, config, params) for v in node)
        case _:
            raise AssertionError(node)


def _read(node: Any, point: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Parameters by name, each after what it depends on."""
    match node:
        case Leaf(choices=()):
            yield node.name, point
        case Leaf():
            yield from _chosen(node, point)
        case dict() if is_searched(node):
            unknown = [k for k in point if k not in node] if isinstance(point, Mapping) else [point]
            if unknown:
                raise SpaceError(f"a point has the keys of the space, {list(node)}; {path!r} has {unknown[0]!r}")
            for k, v in point.items():
                yield from _read(node[k], v, str(k))
        case list() | tuple() if is_searched(node) and isinstance(point, list | tuple) and len(point) == len(node):
            for inner, v in zip(node, point, strict=True):
                yield from _read(inner, v, path)
        case _ if not _equal(node, point):
            raise SpaceError(f"a point must be inside the space; {path!r} is {point!r}, and the space has {node!r}")


def _chosen(leaf: Leaf, point: Any) -> Iterator[tuple[str, Any]]:
    assert isinstance(leaf.distribution, CategoricalDistribution)
    for called, choice in zip(leaf.distribution.choices, leaf.choices, strict=True):
        try:
            inner = list(_read(choice, point, leaf.name))
        except SpaceError:
            continue
        yield leaf.name, called
        yield from inner
        return
    raise SpaceError(
        f"a point must be inside the space; {leaf.name!r} is {point!r}, and the choices are "
        f"{list(leaf.distribution.choices)}: take one of them"
    )


def _equal(one: Any, other: Any) -> bool:
    same = one == other
    return bool(same.all()) if hasattr(same, "all") else bool(same)  # arrays compare element by element
