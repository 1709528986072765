"""Few-shot Bayesian optimisation: a deep kernel, meta-trained by Reptile and fine-tuned on the trials so far."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autometa.metatrain.process_training import Settings, meta_train
from autometa.policies.alone import ALONE
from autometa.policies.greedy_portfolio import GreedyPortfolioPolicy, ThenPolicy
from autometa.policies.learned import LearnedPolicy

if TYPE_CHECKING:
    from autometa.records.prior_tasks import PriorTasks
    from autometa.task import Policy

STEPS = 400  # of the outer loop
FIRST = 5  # trials that the prior tasks choose
FINE_TUNING = 20  # steps on the trials of a task, before each proposal


def few_shot_policy(prior: PriorTasks, *, steps: int = STEPS) -> Policy:
    """A policy that Reptile makes from prior tasks (Wistuba and Grabocka 2021, "Few-Shot Bayesian Optimization").

    As there, all parameters of a deep kernel are learned over tasks with the marginal likelihood as loss, fine-tuned on
    the trials, and the first configs complete each other on the prior tasks. Other than there: a config is read token
    by token instead of as one vector, the scale of the losses is inferred rather than drawn at random while training,
    and the first configs are chosen greedily rather than by evolution.

    Args:
        prior: the tasks; where there are none, the policy is cold.
        steps: of the outer loop.
    """
    if not len(prior):
        return LearnedPolicy()
    settings = Settings(
        algorithm="reptile",
        steps=steps,
        inner_steps=3,
        emits=False,
        reads=False,
        without=("mean", "linear"),
        validate_every=steps,
    )
    process = meta_train([prior], settings, validate=lambda _: 0.0)
    tuned = replace(process, inner=replace(process.inner, steps=FINE_TUNING))
    return ThenPolicy(GreedyPortfolioPolicy(prior), LearnedPolicy(process=tuned, parts=ALONE), k=FIRST)
