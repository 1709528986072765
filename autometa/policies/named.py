"""The policies of a replay by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autometa.policies.empirical_covariance import EmpiricalCovariancePolicy
from autometa.policies.greedy_portfolio import DefaultPolicy, GreedyPortfolioPolicy, ThenTPEPolicy
from autometa.policies.optuna_samplers import GPPolicy, TPEPolicy
from autometa.policies.random import RandomPolicy
from autometa.policies.rgpe import RGPEPolicy
from autometa.policies.source_copies import SourceCopiesPolicy
from autometa.policies.source_mean import SourceMeanPolicy
from autometa.policies.source_mixture import SourceMixturePolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autometa.records.prior_tasks import PriorTasks
    from autometa.task import Policy

PORTFOLIO_THEN_TPE = 10  # trials of the portfolio before TPE takes over

POLICIES: Mapping[str, Callable[[PriorTasks], Policy]] = {
    "random": lambda _: RandomPolicy(),
    "tpe": lambda _: TPEPolicy(),
    "gp": lambda _: GPPolicy(),
    "default_tpe": lambda _: ThenTPEPolicy(DefaultPolicy(), k=1),
    "portfolio": GreedyPortfolioPolicy,
    "portfolio_tpe": lambda prior: ThenTPEPolicy(GreedyPortfolioPolicy(prior), k=PORTFOLIO_THEN_TPE),
    "source_mean_gp": SourceMeanPolicy,
    "empirical_covariance": EmpiricalCovariancePolicy,
    "source_copies": SourceCopiesPolicy,
    "source_mixture": SourceMixturePolicy,
    "rgpe": RGPEPolicy,
}
COLD = ("random", "tpe", "gp", "default_tpe")  # those that know no prior task
SLOW = ("gp", "rgpe")  # those that a large table is sampled for
SEEDLESS = ("portfolio", "source_mean_gp", "empirical_covariance", "source_copies", "source_mixture", "rgpe")
