"""warm_start: configs that past tasks recommend, enqueued in a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autometa.errors import InputError, SpaceError
from autometa.integrations.conditions import distributions_seen
from autometa.integrations.datasets import features_of
from autometa.integrations.sources import policy_for, tasks_of
from autometa.integrations.studies import ordered
from autometa.integrations.translation import SpaceLike, Translation
from autometa.policies.portfolio import PortfolioPolicy
from autometa.space import Space
from autometa.task import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna
    import pandas as pd

    from autometa.integrations.sources import Source


def warm_start(
    study: optuna.Study,
    space: SpaceLike,
    *,
    data: str | Path | pd.DataFrame | None = None,
    sources: Sequence[Source] | None = None,
    k: int = 5,
) -> list[dict[str, Any]]:
    """Enqueue the k configs that past tasks recommend to try first; the study is not changed otherwise.

    With sources they are what the policy picks before any trial, without any the first k of the shipped portfolio,
    which knows the space "tabular" and parts of it. A config that the study has already is not enqueued again.

    Args:
        study: with any sampler.
        space: an autometa Space, the name of a shipped one, the path of a TOML file or a dict of Optuna distributions.
        data: the dataset that the study is about, a data frame or the path of a table; see :class:`MetaSampler`.
        sources: past studies and tasks.
        k: how many configs.

    Returns:
        The k configs as parameters, those that were there already included.

    Raises:
        InputError: there is nothing to learn from, or k, the data or a source cannot be used.
        SpaceError: there is no such space, or it does not fit the trials of the study. Nothing is enqueued then.
    """
    if k < 1:
        raise InputError(f"k must be at least 1; got {k}: say how many configs to enqueue")
    translation = Translation.of(space)
    past = tasks_of(sources or ())
    if not past and not _is_tabular(translation.space):
        raise InputError(
            f"a warm start needs past tasks to learn from; for the space {translation.space.name!r} none are shipped: "
            "pass sources=[...] with finished studies or recorded tasks, or use the space 'tabular'"
        )
    policy = policy_for(past, None) if past else PortfolioPolicy()
    task = Task(study.study_name, translation.space, (), {} if data is None else features_of(data))
    configs = policy.propose(task, n=k, seed=0)
    for config in configs:
        translation.space.check(config)
    chosen = [translation.params_of(config) for config in configs]
    seen = distributions_seen(ordered(study.get_trials(deepcopy=False)))
    for params in chosen:
        _check(params, translation.distributions, seen)
    for params in chosen:
        study.enqueue_trial(params, skip_if_exists=True)
    return chosen


def _is_tabular(space: Space) -> bool:
    """Whether the shipped portfolio has configs for a space."""
    whole = Space.load("tabular")
    return "algorithm" in space and all(p.name in whole for p in space)


def _check(
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    seen: Mapping[str, BaseDistribution],
) -> None:
    """Hold parameters to what the study has asked for so far."""
    for name, value in params.items():
        if name in seen and not _fits(value, distributions[name], seen[name]):
            raise SpaceError(
                f"a warm start must fit the trials that the study has; {name!r} would be {value!r} of "
                f"{distributions[name]}, and the study has {seen[name]}: pass the space of the study's objective"
            )


def _fits(value: Any, ours: BaseDistribution, theirs: BaseDistribution) -> bool:
    if isinstance(ours, CategoricalDistribution) or isinstance(theirs, CategoricalDistribution):
        return ours == theirs
    if type(ours) is not type(theirs):
        return False
    assert isinstance(ours, FloatDistribution | IntDistribution)
    assert isinstance(theirs, FloatDistribution | IntDistribution)
    return ours.log == theirs.log and bool(theirs.low <= value <= theirs.high)
