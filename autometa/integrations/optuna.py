"""MetaSampler: autometa's policy as a sampler of Optuna."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from autometa.integrations.branches import within
from autometa.integrations.conditions import distributions_seen, translation_of
from autometa.integrations.datasets import features_of
from autometa.integrations.seeds import SEEDS, chosen_seed
from autometa.integrations.sources import Trusting, policy_for, tasks_of
from autometa.integrations.studies import history_of, known_params, ordered, remember_proposal
from autometa.integrations.translation import SpaceLike, Translation
from autometa.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna
    import pandas as pd

    from autometa.integrations.sources import Source

# More running trials without a config than there are workers, as a rule: most of them have died.
_MOST_AHEAD = 8


class MetaSampler(BaseSampler):
    """A sampler for Optuna that learns from past studies and tasks as well as from its own.

    It keeps nothing between calls: what it proposes follows from the seed, the number of the trial and the trials in
    the study's storage. A study resumed in a new process therefore goes on as if it had not been stopped, and any
    number of workers may share one. Trials under way count as such, with the whole config that was proposed for them.

    With a space whose parameters depend on each other the whole branch is proposed at once, also the rest of an
    enqueued trial that fixes only some. Without a space it is learned from the study: parameters are proposed
    together from their second trial on, and drawn at random in the first. Where the objective asks for another range
    than the space has, its own range is the one that counts, and values outside are drawn at random from it.

    A study may have several objectives: each trial minimises them under other weights, by an augmented Chebyshev norm
    (Knowles 2006, ParEGO; there the weights come from a grid, here evenly from the simplex). Constraints
    (``trial.set_constraint``) are kept by counting a trial that breaks one as failed.

    Args:
        space: an autometa Space, the name of a shipped one, the path of a TOML file or a dict of Optuna distributions;
            None to learn it from the study.
        data: the dataset that the study is about, a data frame or the path of a table; its target is the column named
            target, class, label or y, else the last one. None where there is none.
        checkpoint: the file of a policy that was meta-trained; None for the shipped one.
        sources: past studies and tasks to learn from. None and () switch the transfer off.
        seed: of all that is random; None to draw one.

    Raises:
        InputError: the seed, the data or a source cannot be used.
        SpaceError: there is no such space.
    """

    def __init__(
        self,
        space: SpaceLike | None = None,
        *,
        data: str | Path | pd.DataFrame | None = None,
        checkpoint: str | Path | None = None,
        sources: Sequence[Source] | None = None,
        seed: int | None = None,
    ) -> None:
        self._declared = None if space is None else Translation.of(space)
        self._features = {} if data is None else features_of(data)
        self._policy = policy_for(tasks_of(sources or ()), None if checkpoint is None else Path(checkpoint))
        self._is_drawn = seed is None
        self._seed = chosen_seed(seed)

    def reseed_rng(self) -> None:
        """Draw a new seed, if none was given: trials of different numbers have different random numbers anyway."""
        if self._is_drawn:
            self._seed = chosen_seed(None)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters that a proposal may hold; which of them it holds is only known with its config."""
        if self._declared is not None:
            return dict(self._declared.distributions)
        return distributions_seen(_others(study, trial))

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of one config."""
        if not search_space:
            return {}
        others = _others(study, trial)
        translation = self._declared or translation_of(search_space, others)
        task = self._task(study, translation, others, self._rng(trial))
        task = within(task, translation.values_of(trial.system_attrs.get("fixed_params", {})))
        # Those before this one that know no config yet are assumed to get what the policy would propose first.
        ahead = sum(_awaits(t, translation) and t.number < trial.number for t in others)
        wanted = 1 + min(ahead, _MOST_AHEAD)
        config = self._policy.propose(task, n=wanted, seed=int(self._rng(trial, 1).integers(SEEDS)))[-1]
        params = {name: value for name, value in translation.params_of(config).items() if name in search_space}
        remember_proposal(study, trial, params)
        return params

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value for a parameter that no config has been proposed with."""
        seed = int(self._rng(trial, 2, *param_name.encode()).integers(SEEDS))
        return RandomSampler(seed).sample_independent(study, trial, param_name, param_distribution)

    def report(self, study: optuna.Study) -> dict[str, float]:
        """How much each source is trusted by what the study has shown so far.

        Returns:
            Weights by the name of the source; empty without sources, or where the policy gives no weights.
        """
        if not isinstance(self._policy, Trusting):
            return {}
        trials = ordered(study.get_trials(deepcopy=False))
        translation = self._declared or translation_of(distributions_seen(trials), trials)
        return dict(self._policy.trust(self._task(study, translation, trials, np.random.default_rng(self._seed))))

    def _rng(self, trial: FrozenTrial, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, trial.number, *purpose])

    def _task(
        self, study: optuna.Study, translation: Translation, trials: Sequence[FrozenTrial], rng: np.random.Generator
    ) -> Task:
        objectives = len(study.directions)
        weights = rng.dirichlet(np.ones(objectives)) if objectives > 1 else None
        history = history_of(translation, trials, study.directions, weights=weights)
        return Task(study.study_name, translation.space, history, self._features)


def _others(study: optuna.Study, trial: FrozenTrial) -> list[FrozenTrial]:
    return [t for t in ordered(study.get_trials(deepcopy=False)) if t.number != trial.number]


def _awaits(trial: FrozenTrial, translation: Translation) -> bool:
    return trial.state == TrialState.RUNNING and not known_params(trial).keys() & translation.distributions.keys()
