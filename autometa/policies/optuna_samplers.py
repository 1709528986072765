"""Optuna's samplers as policies: the study is rebuilt from the task at every call, so no state is kept."""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from autometa.parameters import Categorical, Value
from autometa.policies.candidates import Observed
from autometa.pool import Pool
from autometa.task import Task, Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autometa.space import Config, Space

_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "running": TrialState.RUNNING,
}

# Studies rebuilt from a task are nobody's news; Optuna's verbosity is the user's own to set.
_REBUILT = "autometa-rebuilt"
logging.getLogger("optuna.storages._in_memory").addFilter(lambda record: _REBUILT not in record.getMessage())


class TPEPolicy:
    """Tree-structured Parzen estimators (Bergstra et al. 2011), multivariate and by branch (Optuna).

    Args:
        startup: trials drawn at random before the estimators are used.
    """

    def __init__(self, *, startup: int = 10) -> None:
        self._startup = startup

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The next n configs; see :class:`autometa.task.Policy`."""
        proposals: list[Config] = []
        pool = None if candidates is None else Pool.of(task.space, candidates)
        for _ in range(n):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = optuna.samplers.TPESampler(
                    multivariate=True,
                    group=True,
                    constant_liar=True,
                    n_startup_trials=self._startup,
                    seed=_mixed(seed, task),
                )
            config: Config = _ask(task, task.space, sampler)
            if pool is not None:
                left = Observed.of(task, pool).left(pool)
                if not left:
                    break
                config = pool[pool.nearest(config, left, seed=[seed, len(task.history), 1])]
            proposals.append(config)
            task = task.observe(Trial(config))
        return proposals


class GPPolicy:
    """A Gaussian process per branch (Optuna's GPSampler sees only parameters common to all trials).

    The branch, a value of the space's first categorical parameter that others depend on, is drawn
    with odds that halve with each rank of its best loss; branches never tried go first.
    """

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The next n configs; see :class:`autometa.task.Policy`."""
        proposals: list[Config] = []
        pool = None if candidates is None else Pool.of(task.space, candidates)
        for _ in range(n):
            left = [] if pool is None else Observed.of(task, pool).left(pool)
            if pool is not None and not left:
                break
            rng = np.random.default_rng([seed, len(task.history)])
            branch, space = _branch(task, rng)
            history = tuple(t for t in task.history if branch.items() <= dict(t.config).items())
            part = replace(task, space=space, history=history)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = optuna.samplers.GPSampler(
                    seed=_mixed(seed, task), n_startup_trials=4, deterministic_objective=False
                )
            config: Config = _ask(part, space, sampler)
            if pool is not None:
                config = pool[pool.nearest(config, left, seed=[seed, len(task.history), 1])]
            proposals.append(config)
            task = task.observe(Trial(config))
        return proposals


def _mixed(seed: int, task: Task) -> int:
    return int(np.random.SeedSequence([seed, len(task.history)]).generate_state(1)[0])


def _ask(task: Task, space: Space, sampler: optuna.samplers.BaseSampler) -> dict[str, Value]:
    study = optuna.create_study(study_name=_REBUILT, sampler=sampler, direction="minimize")
    study.add_trials([_frozen(t, space) for t in task.history])
    return space.suggest(study.ask())


def _frozen(trial: Trial, space: Space) -> FrozenTrial:
    state = _STATES[trial.state]
    if state == TrialState.COMPLETE and math.isnan(trial.loss):
        state = TrialState.FAIL
    distributions = space.distributions(trial.config)
    steps = {i: x for i, x in enumerate(trial.fold_losses) if not math.isnan(x)}
    return create_trial(
        state=state,
        value=trial.loss if state == TrialState.COMPLETE else None,
        params={name: trial.config[name] for name in distributions},
        distributions=distributions,
        intermediate_values=steps if state == TrialState.PRUNED else {},
    )


def _branch(task: Task, rng: np.random.Generator) -> tuple[dict[str, Value], Space]:
    """A value of the root parameter, and the space that is left when it is fixed."""
    parents = {p.when[0] for p in task.space if p.when is not None}
    root = next((p for p in task.space if p.name in parents), None)
    if not isinstance(root, Categorical):
        return {}, task.space
    best: dict[Value, float] = {}
    for t in task.history:
        value = t.config[root.name]
        loss = t.loss if t.state == "complete" and not math.isnan(t.loss) else math.inf
        best[value] = min(best.get(value, math.inf), loss)
    fresh = [c for c in root.choices if c not in best]
    if fresh:
        chosen = fresh[int(rng.integers(len(fresh)))]
    else:
        ranked = sorted(best, key=lambda c: best[c])
        odds = 0.5 ** np.arange(len(ranked))
        chosen = ranked[int(rng.choice(len(ranked), p=odds / odds.sum()))]
    return {root.name: chosen}, task.space.restrict({root.name: {"choices": [chosen]}})
