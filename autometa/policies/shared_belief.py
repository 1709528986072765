"""What prior tasks have in common: their mean, their covariance, and a doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.gaussian import Belief, LossScale, LowRank, Remembered, Sum
from autometa.policies.kernel import Matern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autometa.records.prior_tasks import PriorTasks

LENGTH = 1.2  # at which what no prior task has shown varies
LEAST_DOUBT = 0.02  # share of the variance that no prior task has shown, of very many tasks
FEW = 2.0  # tasks at which half of it is


def shared_beliefs(prior: PriorTasks, scale: LossScale, doubts: Sequence[float] = (1.0,)) -> list[Belief]:
    """The empirical mean and covariance of S prior tasks, and beside them a Matérn process that grows as S falls.

    With one task it is the residual process about that task; with hundreds the empirical covariance.

    Args:
        prior: at least one task.
        scale: of the raw losses.
        doubts: factors on the variance of what no prior task has shown, one for each belief.
    """
    scaled = prior.scaled("min_max")
    mean = scaled.mean(axis=0)
    doubt = max(LEAST_DOUBT, FEW / (FEW + len(scaled)))
    factors = (scaled - mean).T / np.sqrt(max(len(scaled) - 1, 1))
    # One task has no spread about itself: what its losses vary over the pool stands in.
    variance = max(float((factors**2).sum(axis=1).mean()), doubt * float(mean.var()), 1e-6)
    shown = Remembered(LowRank(np.sqrt(1.0 - doubt) * factors, np.zeros(len(mean))))
    doubted = Remembered(Matern(prior.pool.inputs, LENGTH, doubt * variance))
    return [Belief(mean, Sum(shown, doubted, times), scale) for times in doubts]
