"""The space that a study defines as it runs: all parameters seen so far, and which of them depend on which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from autometa.integrations.translation import Translation
from autometa.parameters import Categorical, Condition, Value
from autometa.space import Space

Row: TypeAlias = Mapping[str, Value | None]


def distributions_seen(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The distributions of all parameters in the order in which they came up; of changed ones the latest."""
    found: dict[str, BaseDistribution] = {}
    for trial in trials:
        found |= trial.distributions
    return found


def translation_of(
    distributions: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial], *, name: str = "optuna"
) -> Translation:
    """The space of distributions, with the conditions that trials show.

    A parameter that some complete trial lacks depends on the first categorical parameter before it whose values set
    the trials that have it apart from those that lack it. A value that no trial with it has counts as one without it.
    Where no parameter explains the lack (a number of layers, say), the parameter is always active.

    Args:
        distributions: of the parameters.
        trials: of any state, in their order.
        name: of the space.
    """
    flat = Translation.of(distributions, name=name)
    order = [p for p in distributions_seen(trials) if p in flat.space]
    order += [p.name for p in flat.space if p.name not in order]
    rows = [_row(flat, trial) for trial in trials]
    parameters = []
    for place, child in enumerate(order):
        lacking = [row for row, trial in zip(rows, trials, strict=True) if _lacks(trial, child)]
        having = [row for row in rows if child in row]
        conditions = (_condition(flat, parent, having, lacking) for parent in order[:place] if lacking)
        when = next((c for c in conditions if c is not None), None)
        parameters.append(replace(flat.space[child], when=when))
    return replace(flat, space=Space(name, tuple(parameters)))


def _row(flat: Translation, trial: FrozenTrial) -> Row:
    return {name: flat.value_of(name, value) for name, value in trial.params.items() if name in flat.space}


def _lacks(trial: FrozenTrial, name: str) -> bool:
    """Whether the trial got to its end without the parameter."""
    return trial.state == TrialState.COMPLETE and name not in trial.params


def _condition(flat: Translation, parent: str, having: Sequence[Row], lacking: Sequence[Row]) -> Condition | None:
    """What the parent must be for its child to be there, as far as that explains all rows."""
    p = flat.space[parent]
    if not isinstance(p, Categorical):
        return None
    places = [[_place(p, row.get(parent)) for row in rows] for rows in (having, lacking)]
    with_child, without = ({i for i in found if i is not None} for found in places)
    if None in places[0] or not with_child or not without or with_child & without:
        return None
    return parent, tuple(p.choices[i] for i in sorted(with_child))


def _place(p: Categorical, value: Value | None) -> int | None:
    return None if value is None else int(p.to_unit(value) * len(p.choices))
