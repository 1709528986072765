"""Which fitted models to trust, and how much: greedy selection on out-of-fold predictions.

Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble selection from libraries of models", ICML 2004, with the
paper's bags of models. Ours differs in two ways: the number of steps is bounded, and nested folds may
overrule the greedy weights by equal weights on the few best, or by the best model alone, where those are
clearly better on rows that took no part in choosing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from autometa.tables.measures import mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from autometa.tables.metrics import Metric

Floats = NDArray[np.floating]

STEPS = 25
PATIENCE = 4  # steps without gain
FEWEST_BAGS, MOST_BAGS, ROWS_IN_BAGS = 3, 16, 12_000  # so many bags that the rows of all are about the last
LEAST_WEIGHT = 0.01
PARTS = 5  # nested folds
MOST_CANDIDATES = 30
MOST_ROWS = 10_000


@dataclass(frozen=True)
class Blend:
    """Weights of the members, and how well they did on rows they were not chosen on.

    Attributes:
        weights: shape (m,), summing to 1.
        nested_loss: loss over rows that did not take part in choosing the weights.
        rule: "greedy", "equal" or "single".
    """

    weights: NDArray[np.float64]
    nested_loss: float
    rule: str


def blend(
    predictions: Floats,
    target: NDArray[np.generic],
    metric: Metric,
    *,
    weights: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> Blend:
    """Choose weights for m members from their out-of-fold predictions.

    Args:
        predictions: shape (m, n, outputs).
        target: shape (n,).
        metric: what to minimise the loss of.
        weights: sample weights, shape (n,).
        seed: draws the nested folds.
    """
    members, rows = predictions.shape[:2]
    if members == 1:
        return Blend(np.ones(1), metric.loss(target, predictions[0], weights), "single")
    rng = np.random.default_rng(seed)
    part_of_row = rng.permutation(rows) % PARTS
    view = _View.of(predictions, target, metric, weights)
    losses = np.array([view.single(i) for i in range(members)])
    if not np.isfinite(losses).any():
        return Blend(np.full(members, 1 / members), np.nan, "equal")

    rules: dict[str, Callable[[_View], NDArray[np.float64]]] = {
        "greedy": lambda part: bagged_greedy(part, seed=seed),
        "equal": _equal,
        "single": _single,
    }
    nested: dict[str, list[float]] = {name: [] for name in rules}
    shown: dict[str, list[float]] = {name: [] for name in rules}
    for part in range(PARTS):
        chosen_on, judged_on = view.rows(part_of_row != part), view.rows(part_of_row == part)
        for name, rule in rules.items():
            w = rule(chosen_on)
            nested[name].append(judged_on.blended(w))
            shown[name].append(judged_on.measured(w))
    name = _clear_winner({name: np.array(x) for name, x in nested.items()})
    chosen = rules[name](view)
    chosen[chosen < LEAST_WEIGHT] = 0.0
    known = np.array(shown[name])[np.isfinite(shown[name])]
    return Blend(chosen / chosen.sum(), float(known.mean()) if len(known) else float(np.nanmin(losses)), name)


def _clear_winner(nested: dict[str, NDArray[np.float64]]) -> str:
    """The first rule, unless another beats it by more than twice the standard error over the parts."""
    first, *others = nested
    best, best_gain = first, 0.0
    for name in others:
        gains = nested[first] - nested[name]
        gains = gains[np.isfinite(gains)]
        if len(gains) < 2:
            continue
        gain = float(gains.mean() - 2 * gains.std(ddof=1) / np.sqrt(len(gains)))
        if gain > best_gain:
            best, best_gain = name, gain
    return best


def bagged_greedy(view: _View, *, seed: int) -> NDArray[np.float64]:
    """Mean of the weights that greedy selection gives on random halves of the members, as in the paper.

    Without it a few lucky members take all the weight on a small table.
    """
    if view.members < 4:
        return greedy(view, np.arange(view.members))
    rng = np.random.default_rng(seed)
    bags = max(FEWEST_BAGS, min(MOST_BAGS, ROWS_IN_BAGS // max(1, view.size)))
    weights = np.zeros(view.members)
    for _ in range(bags):
        chosen = np.sort(rng.permutation(view.members)[: (view.members + 1) // 2])
        weights += greedy(view, chosen)
    return weights / bags


def greedy(view: _View, chosen: NDArray[np.intp]) -> NDArray[np.float64]:
    """Add, with replacement, the chosen member that lowers the loss of the mean most; keep the best step."""
    counts = np.zeros(view.members)
    total = np.zeros_like(view.compact[0])
    best_counts, best_loss, since = counts, np.inf, 0
    for step in range(1, STEPS + 1):
        losses = np.array([view.loss((total + view.compact[i]) / step) for i in chosen])
        best = int(np.nanargmin(losses)) if np.isfinite(losses).any() else 0
        pick = chosen[best]
        counts[pick] += 1
        total = total + view.compact[pick]
        if losses[best] < best_loss - 1e-12:
            best_counts, best_loss, since = counts.copy(), losses[best], 0
        else:
            since += 1
            if since >= PATIENCE:
                break
    if best_counts.sum() == 0:
        best_counts[chosen[0]] = 1.0
    return np.asarray(best_counts / best_counts.sum())


def _single(view: _View) -> NDArray[np.float64]:
    w = np.zeros(view.members)
    w[view.ranked()[0]] = 1.0
    return w


def _equal(view: _View) -> NDArray[np.float64]:
    """Equal weights on the 2, 3, 5 or 8 best, whichever number does best."""
    order = view.ranked()
    best = None
    for k in (2, 3, 5, 8):
        w = np.zeros(view.members)
        w[order[:k]] = 1.0
        w /= w.sum()
        loss = view.blended(w)
        if best is None or loss < best[0]:
            best = (loss, w)
    assert best is not None
    return best[1]


@dataclass(frozen=True)
class _View:
    """Predictions in the smallest form the metric can be computed from, for some of the rows.

    Log-loss needs only the probability of the true class, two-class metrics only that of the
    second class: an array of shape (m, n) instead of (m, n, c).

    Attributes:
        compact: shape (m, n), or (m, n, outputs) in full.
        target: shape (n,).
        metric: whose loss it is.
        weights: sample weights, shape (n,), or None.
        form: which probability a compact prediction is: "true", "second", or all in "full".
        rivals: classes besides the true one, for "true".
    """

    compact: Floats
    target: NDArray[np.generic]
    metric: Metric
    weights: NDArray[np.float64] | None
    form: Literal["true", "second", "full"] = "full"
    rivals: int = 1

    @classmethod
    def of(
        cls,
        predictions: Floats,
        target: NDArray[np.generic],
        metric: Metric,
        weights: NDArray[np.float64] | None,
    ) -> _View:
        """The smallest form of predictions of shape (m, n, outputs)."""
        outputs = predictions.shape[2]
        if outputs > 1 and metric.name == "log_loss":
            right = predictions[:, np.arange(len(target)), target]
            return cls(right, target, metric, weights, "true", outputs - 1)
        if outputs == 2:
            return cls(predictions[:, :, 1], target, metric, weights, "second")
        return cls(predictions, target, metric, weights)

    @property
    def members(self) -> int:
        """How many they are, m."""
        return len(self.compact)

    @property
    def size(self) -> int:
        """How many rows they are of, n."""
        return len(self.target)

    def rows(self, chosen: NDArray[np.bool_]) -> _View:
        """The same for the chosen rows."""
        weights = None if self.weights is None else self.weights[chosen]
        return replace(self, compact=self.compact[:, chosen], target=self.target[chosen], weights=weights)

    def loss(self, prediction: Floats) -> float:
        """Loss of one prediction in compact form."""
        if self.form == "true":
            # One row more that is wrong (as in Platt 1999): without it, the most overconfident member wins
            # wherever nearly every row is right.
            doubt = 1 / (len(prediction) + 2)
            right = np.clip(prediction, 1e-15, 1.0)
            wrong = np.clip(1 - right, 1e-15, 1.0) / self.rivals
            terms = -(1 - doubt) * np.log(right) - doubt * np.log(wrong)
            return mean(terms, self.weights)
        if self.form == "second":
            prediction = np.stack([1 - prediction, prediction], axis=1)
        return self.metric.loss(self.target, prediction, self.weights)

    def single(self, member: int) -> float:
        """Loss of one member."""
        return self.loss(self.compact[member])

    def blended(self, w: NDArray[np.float64]) -> float:
        """Loss of a weighted mean of the members."""
        used = np.flatnonzero(w)
        return self.loss(np.tensordot(w[used], self.compact[used], axes=1))

    def measured(self, w: NDArray[np.float64]) -> float:
        """The metric's own loss of a weighted mean, without the row more that :meth:`loss` adds."""
        if self.form != "true":
            return self.blended(w)
        right = np.clip(np.tensordot(w, self.compact, axes=1), 1e-15, 1.0)
        return mean(-np.log(right), self.weights)

    def ranked(self) -> NDArray[np.intp]:
        """Members from best to worst; undefined losses last."""
        losses = np.array([self.single(i) for i in range(self.members)])
        return np.argsort(np.where(np.isnan(losses), np.inf, losses), kind="stable")
