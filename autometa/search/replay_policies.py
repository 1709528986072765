"""The policies of a replay by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autometa.metatrain.few_shot import few_shot_policy
from autometa.policies.alone import learned_alone
from autometa.policies.empirical_covariance import EmpiricalCovariancePolicy
from autometa.policies.greedy_portfolio import DefaultPolicy, GreedyPortfolioPolicy, ThenPolicy
from autometa.policies.learned import LearnedPolicy
from autometa.policies.optuna_samplers import GPPolicy, TPEPolicy
from autometa.policies.random import RandomPolicy
from autometa.policies.rgpe import RGPEPolicy
from autometa.policies.source_copies import SourceCopiesPolicy
from autometa.policies.source_mean import SourceMeanPolicy
from autometa.policies.source_mixture import SourceMixturePolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autometa.policies.learned_process import LearnedProcess
    from autometa.records.prior_tasks import PriorTasks
    from autometa.task import Policy

PORTFOLIO_THEN_TPE = 10  # trials of the portfolio before TPE takes over


def shipped_process() -> LearnedProcess | None:
    """The one that comes with autometa; None where none does."""
    from autometa.policies.learned_process import LearnedProcess  # late: it brings in torch

    return LearnedProcess.shipped()


POLICIES: Mapping[str, Callable[[PriorTasks], Policy]] = {
    "random": lambda _: RandomPolicy(),
    "tpe": lambda _: TPEPolicy(),
    "gp": lambda _: GPPolicy(),
    "default_tpe": lambda _: ThenPolicy(DefaultPolicy(), TPEPolicy(startup=0), k=1),
    "portfolio": GreedyPortfolioPolicy,
    "portfolio_tpe": lambda prior: ThenPolicy(GreedyPortfolioPolicy(prior), TPEPolicy(startup=0), k=PORTFOLIO_THEN_TPE),
    "source_mean_gp": SourceMeanPolicy,
    "empirical_covariance": EmpiricalCovariancePolicy,
    "source_copies": SourceCopiesPolicy,
    "source_mixture": SourceMixturePolicy,
    "rgpe": RGPEPolicy,
    "fsbo": few_shot_policy,
    "learned": lambda prior: LearnedPolicy(prior, process=shipped_process()),
    "learned_alone": lambda _: learned_alone(shipped_process()),
}
COLD = ("random", "tpe", "gp", "default_tpe")  # those that know no prior task
SLOW = ("gp", "rgpe", "fsbo")  # those that a large table is sampled for
SEEDLESS = (
    "portfolio",
    "source_mean_gp",
    "empirical_covariance",
    "source_copies",
    "source_mixture",
    "rgpe",
    "fsbo",
    "learned",
    "learned_alone",
)


def policies_with(process: LearnedProcess | None) -> Mapping[str, Callable[[PriorTasks], Policy]]:
    """All policies, the learned ones with a process of their own; None for the shipped one."""
    if process is None:
        return POLICIES
    return {
        **POLICIES,
        "learned": lambda prior: LearnedPolicy(prior, process=process),
        "learned_alone": lambda _: learned_alone(process),
    }
