"""Random search spaces that look like those people search: names, ranges, choices and conditions."""

from __future__ import annotations

import itertools
import math

import numpy as np

from autometa.metatrain.vocabulary import CHOICES, ONSETS, RANGES, ROOTS, VOWELS, Range
from autometa.parameters import Categorical, Condition, Float, Int, Parameter, Value
from autometa.space import Space

FEWEST_CONFIGS = 64  # of a space that is worth a search
FEWEST, MOST = 2, 12  # hyperparameters
BRANCHED = 0.5  # share of the spaces in which one choice decides which others there are
SHARED = 0.25  # share of a branched space's hyperparameters that every branch has
DEEPER = 0.3  # how often what could hang on a choice inside a branch does so
MADE_UP = 0.3  # share of the names that nobody has heard of
CATEGORICAL = 0.3
DEFAULT = 0.6  # share of the numbers whose default is not just the middle


def synthetic_space(seed: int) -> Space:
    """A space of 2 to 12 hyperparameters, flat or with conditions one or two levels deep.

    Args:
        seed: the same space for the same seed, in every process.
    """
    spaces = (_space(f"synthetic-{seed}", np.random.default_rng([seed, attempt])) for attempt in itertools.count())
    return next(space for space in spaces if _configs(space) >= FEWEST_CONFIGS)


def _configs(space: Space) -> float:
    """At least so many configs differ."""
    levels = {
        p.name: len(p.choices) if isinstance(p, Categorical) else p.high - p.low + 1 if isinstance(p, Int) else math.inf
        for p in space
    }
    return max(*levels.values(), math.prod(levels[p.name] for p in space if p.when is None))


def _space(name: str, rng: np.random.Generator) -> Space:
    parameters: dict[str, Parameter] = {}
    size = int(rng.integers(FEWEST, MOST + 1))
    prefixed = rng.random() < 0.5  # whether a branch's name stands before those of its hyperparameters
    if rng.random() < BRANCHED:
        root = str(rng.choice(list(ROOTS)))
        parameters[root] = _categorical(root, ROOTS[root], None, rng)
    while len(parameters) < size:
        when = _condition(list(parameters.values()), rng)
        prefix = f"{when[1][0]}_" if prefixed and when and when[0] in ROOTS and len(when[1]) == 1 else ""
        p = _parameter(when, rng, prefix=prefix)
        parameters.setdefault(p.name, p)
    return Space(name, tuple(parameters.values()))


def _condition(parameters: list[Parameter], rng: np.random.Generator) -> Condition | None:
    """When the next hyperparameter is active: on some choices of the root, or of one inside a branch."""
    root = next((p for p in parameters if isinstance(p, Categorical) and p.name in ROOTS), None)
    if root is None or rng.random() < SHARED:
        return None
    inner = [p for p in parameters if isinstance(p, Categorical) and p.when is not None and p.when[0] == root.name]
    parent = inner[rng.integers(len(inner))] if inner and rng.random() < DEEPER else root
    count = 1 if rng.random() < 0.7 else int(rng.integers(1, len(parent.choices)))
    chosen = np.sort(rng.choice(len(parent.choices), count, replace=False))
    return parent.name, tuple(parent.choices[i] for i in chosen)


def _parameter(when: Condition | None, rng: np.random.Generator, *, prefix: str) -> Parameter:
    categorical = rng.random() < CATEGORICAL
    if rng.random() < MADE_UP:
        name = prefix + _word(rng) + ("_" + _word(rng) if rng.random() < 0.4 else "")
        if categorical:
            return _categorical(name, _made_up_choices(rng), when, rng)
        return _number(name, _made_up_range(rng), when, rng)
    known = str(rng.choice(list(CHOICES if categorical else RANGES)))
    if categorical:
        return _categorical(prefix + known, CHOICES[known], when, rng)
    return _number(prefix + known, RANGES[known], when, rng)


def _categorical(
    name: str, offered: tuple[Value, ...], when: Condition | None, rng: np.random.Generator
) -> Categorical:
    """Two to six of the choices offered, in their order."""
    count = int(rng.integers(2, min(len(offered), 6) + 1))
    choices = tuple(offered[i] for i in np.sort(rng.choice(len(offered), count, replace=False)))
    return Categorical(name=name, choices=choices, default=choices[rng.integers(count)], when=when)


def _number(name: str, ends: Range, when: Condition | None, rng: np.random.Generator) -> Float | Int:
    """A number in a range between the given ends; its default is anywhere, or in the middle."""
    low, high = (_between(*end, rng, log=ends.log) for end in (ends.low, ends.high))
    place = float(rng.choice([rng.beta(2.0, 2.0), 0.0, 1.0], p=[0.8, 0.1, 0.1])) if rng.random() < DEFAULT else 0.5
    if ends.whole:
        least, most = round(low), round(high)
        whole = Int(name=name, low=least, high=most, log=ends.log, default=least)
        return Int(name=name, low=least, high=most, log=ends.log, default=whole.from_unit(place), when=when)
    real = Float(name=name, low=low, high=high, log=ends.log, default=low)
    return Float(name=name, low=low, high=high, log=ends.log, default=real.from_unit(place), when=when)


def _between(low: float, high: float, rng: np.random.Generator, *, log: bool) -> float:
    """A number with two digits, as people write them."""
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high)
    return min(max(float(f"{drawn:.2g}"), low), high)


def _made_up_range(rng: np.random.Generator) -> Range:
    log, whole = bool(rng.random() < 0.5), bool(rng.random() < 0.4)
    if whole:
        return Range((1, 8), (12, 500), log=log, whole=True)
    if log:
        low = 10.0 ** rng.integers(-8, 1)
        return Range((low, 10 * low), (100 * low, 1e5 * low), log=True)
    return Range((-1.0, 0.0), (0.5, 10.0))


def _made_up_choices(rng: np.random.Generator) -> tuple[Value, ...]:
    kind = rng.integers(3)
    if kind == 0:
        return (False, True)
    if kind == 1:
        first = int(rng.integers(1, 9))
        return tuple(first * 2**i for i in range(6))
    return tuple(dict.fromkeys(_word(rng) for _ in range(6)))


def _word(rng: np.random.Generator) -> str:
    return "".join(f"{rng.choice(ONSETS)}{rng.choice(VOWELS)}" for _ in range(rng.integers(2, 4)))
