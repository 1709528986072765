"""Ray Tune's ranges and choices, wherever they stand in a tree of dicts and lists."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autometa.errors import SpaceError
from autometa.integrations.choices import named
from autometa.parameters import Condition

TAKEN = "choice, uniform, quniform, loguniform, qloguniform, randint, qrandint, lograndint and qlograndint"
_SLACK = 1e-9  # of a bound that is a multiple of the step but for rounding


@dataclass(frozen=True)
class Leaf:
    """A place of the tree that is searched.

    Attributes:
        name: of the parameter.
        distribution: of its values; that of a choice are names.
        step: whose multiples the values are, where it is their logarithm that is spread evenly.
        choices: what the names stand for, trees themselves.
        when: the choice that it depends on.
    """

    name: str
    distribution: BaseDistribution
    step: float | None = None
    choices: tuple[Any, ...] = ()
    when: Condition | None = None


def leaves(node: Any) -> Iterator[Leaf]:
    """What is searched in a tree, each after what it depends on."""
    branches: Sequence[Any] = ()
    match node:
        case Leaf():
            yield node
            branches = node.choices
        case dict():
            branches = tuple(node.values())
        case list() | tuple():
            branches = node
    for branch in branches:
        yield from leaves(branch)


def is_searched(node: Any) -> bool:
    """Whether anything in a tree is searched."""
    return next(leaves(node), None) is not None


def tree_of(node: Any, path: tuple[str, ...] = (), when: Condition | None = None) -> Any:
    """A tree with each of Ray's ranges and choices as a :class:`Leaf`.

    Raises:
        SpaceError: one is of a kind that no policy can search.
    """
    from ray.tune.search.sample import Domain

    if isinstance(node, Domain):
        return _leaf(node, path, when)
    if isinstance(node, Mapping):
        for marker, call in (("grid_search", "tune.grid_search"), ("eval", "an expression to evaluate")):
            if len(node) == 1 and marker in node:
                raise _refused("/".join(path), call)
        return {k: tree_of(v, (*path, str(k)), when) for k, v in node.items()}
    if type(node) in (list, tuple):
        return type(node)(tree_of(v, (*path, str(i)), when) for i, v in enumerate(node))
    return node


def tidy(value: float) -> float:
    """A multiple of a step without what rounding has added."""
    return value if isinstance(value, int) else float(f"{value:.12g}")


def _leaf(domain: Any, path: tuple[str, ...], when: Condition | None) -> Leaf:
    try:
        return _searched(domain, path, when)
    except ValueError as error:
        if isinstance(error, SpaceError):
            raise
        raise SpaceError(f"a range must hold a value; {'/'.join(path)!r} is {domain.domain_str}: {error}") from error


def _searched(domain: Any, path: tuple[str, ...], when: Condition | None) -> Leaf:
    from ray.tune.search import sample

    name, drawn = "/".join(path), domain.get_sampler()
    sampler, step = (drawn.sampler, drawn.q) if isinstance(drawn, sample.Quantized) else (drawn, None)
    log = isinstance(sampler, sample.LogUniform)
    if isinstance(domain, sample.Function):
        raise _refused(name, "tune.sample_from")
    if not log and not isinstance(sampler, sample.Uniform):
        raise _refused(name, f"drawn by {type(sampler).__name__.strip('_')}")
    match domain:
        case sample.Categorical():
            return _choice(domain.categories, path, when)
        case sample.Integer() if step in (None, 1):
            # Ray's whole numbers end before the upper bound, but for those in steps of more.
            return Leaf(name, IntDistribution(domain.lower, domain.upper - 1, log=log), when=when)
        case sample.Float() if step is None:
            return Leaf(name, FloatDistribution(domain.lower, domain.upper, log=log), when=when)
        case sample.Integer() | sample.Float() if step is not None:
            return Leaf(name, _stepped(domain, step, log=log), step if log else None, when=when)
        case _:
            raise _refused(name, repr(domain))


def _stepped(domain: Any, step: Any, *, log: bool) -> BaseDistribution:
    """The multiples of a step that are inside; a distribution of Optuna's cannot have both steps and a logarithm."""
    from ray.tune.search import sample

    low = tidy(math.ceil(domain.lower / step - _SLACK) * step)
    high = tidy(math.floor(domain.upper / step + _SLACK) * step)
    if isinstance(domain, sample.Integer):
        return IntDistribution(int(low), int(high), log=log, step=1 if log else int(step))
    return FloatDistribution(low, high, log=log, step=None if log else step)


def _choice(categories: Sequence[Any], path: tuple[str, ...], when: Condition | None) -> Leaf:
    name, choices = "/".join(path), named(categories)
    trees = [tree_of(c, (*path, str(i)), (name, (called,))) for i, (called, c) in enumerate(choices)]
    kept = tuple(tree if is_searched(tree) else c for tree, (_, c) in zip(trees, choices, strict=True))
    return Leaf(name, CategoricalDistribution([called for called, _ in choices]), choices=kept, when=when)


def _refused(name: str, what: str) -> SpaceError:
    return SpaceError(
        f"a search space for a policy is made of {TAKEN}; {name!r} is {what}: "
        "write a choice or a range, and compute what follows from other values in the trainable"
    )
