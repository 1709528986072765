"""What replays add up to: regret by trial or by second, ranks, intervals, speed-up, paired contrasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOOTSTRAPS = 10_000
LEAST = 1e-14  # regret below which the logarithm looks no further


@dataclass(frozen=True)
class Curves:
    """Replays of some policies on T tasks, seeds averaged.

    Attributes:
        policies: their names.
        tasks: names of the T tasks.
        group: of each task, shape (T,): the unit of inference.
        x: trials or seconds, shape (k,).
        regret, test_regret, rank: of the best config so far, per policy, shape (T, k).
        milliseconds: of each proposal, per policy, any number of them.
    """

    policies: tuple[str, ...]
    tasks: tuple[str, ...]
    group: NDArray[np.intp]
    x: NDArray[np.float64]
    regret: dict[str, NDArray[np.float64]]
    test_regret: dict[str, NDArray[np.float64]]
    rank: dict[str, NDArray[np.float64]]
    milliseconds: dict[str, NDArray[np.float64]]

    def table(self, *, seed: int = 0) -> pd.DataFrame:
        """A row per policy and x: policy, trial, mean_regret with a 95 % interval, median, rank, and more."""
        weights = bootstrap_weights(self.group, seed=seed)
        parts = []
        for policy in self.policies:
            regret = self.regret[policy]
            low, high = np.quantile(weights @ regret, [0.025, 0.975], axis=0)
            parts.append(
                pd.DataFrame(
                    {
                        "policy": policy,
                        "trial": self.x,
                        "mean_regret": regret.mean(axis=0),
                        "low": low,
                        "high": high,
                        "median_regret": np.median(regret, axis=0),
                        "mean_rank": self.rank[policy].mean(axis=0),
                        "ms_per_suggestion": self.milliseconds[policy].mean(),
                        "ms_p50": np.median(self.milliseconds[policy]),
                        "ms_p95": np.quantile(self.milliseconds[policy], 0.95),
                        "mean_test_regret": self.test_regret[policy].mean(axis=0),
                        "mean_log10_regret": np.log10(np.maximum(regret, LEAST)).mean(axis=0),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def area(self, policy: str, upto: int) -> NDArray[np.float64]:
        """Mean regret of the first ``upto`` points, per task, shape (T,)."""
        return np.asarray(self.regret[policy][:, :upto].mean(axis=1))

    def contrast(self, policy: str, against: str, upto: int, *, seed: int = 0) -> Contrast:
        """The paired difference in area; below 0 the policy is better."""
        apart = self.area(policy, upto) - self.area(against, upto)
        means = bootstrap_weights(self.group, seed=seed) @ apart
        low, high = np.quantile(means, [0.025, 0.975])
        tail = min(float((means >= 0).mean()), float((means <= 0).mean()))
        p_value = min(1.0, 2 * (tail * len(means) + 1) / (len(means) + 1))
        return Contrast(policy, against, upto, float(apart.mean()), float(low), float(high), p_value)

    def speed_up(self, policy: str, *, to: str = "random", at: int = 50) -> tuple[float, float]:
        """How many times fewer trials than ``to`` a policy needs for what that reaches by ``at``.

        Returns:
            The geometric mean over tasks, and the share of tasks on which the policy never gets there (counted as if
            it did with the trial after the last).
        """
        at = min(at, len(self.x))
        goal = self.regret[to][:, at - 1]
        there = self.regret[policy] <= goal[:, None] + 1e-12
        first = np.where(there.any(axis=1), there.argmax(axis=1) + 1, len(self.x) + 1)
        return float(np.exp(np.log(at / first).mean())), float((~there.any(axis=1)).mean())


@dataclass(frozen=True)
class Contrast:
    """A paired difference of mean regret over the first ``upto`` trials: below 0, the policy is better."""

    policy: str
    against: str
    upto: int
    difference: float
    low: float
    high: float
    p_value: float


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjustment for several tests (Holm 1979)."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    worst = 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = worst
    return [float(p) for p in adjusted]


def bootstrap_weights(group: NDArray[np.intp], *, seed: int) -> NDArray[np.float64]:
    """Weights of T tasks in bootstraps over groups, shape (BOOTSTRAPS, T); each row sums to 1."""
    labels, place = np.unique(group, return_inverse=True)
    n = len(labels)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=BOOTSTRAPS)
    weights = counts[:, place].astype(np.float64)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
