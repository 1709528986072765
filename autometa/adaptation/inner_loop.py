"""The inner loop: a few gradient steps from shared parameters to those of one task, as a pure function.

Shapes: S inner steps, T tasks, n points of a task, (*p) the shape of a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from torch import Tensor
from torch.func import grad
from torch.utils._pytree import tree_map

from autometa.errors import InputError

Params = dict[str, Tensor]
# The mean loss of some parameters on some data, a scalar. Data are tensors in any nesting of tuples, lists and dicts.
Loss = Callable[[Mapping[str, Tensor], Any], Tensor]
Rates = Literal["fixed", "one", "per layer and step", "per parameter"]


class UpdateRule(Protocol):
    """How parameters move on a task. What the rule itself learns is a dict of tensors beside the parameters."""

    @property
    def weights(self) -> tuple[float, ...] | None:
        """Of the query losses before the first step and after each one, (S + 1,); None for the last alone."""
        ...

    def initial(self, params: Params) -> Params:
        """What the rule learns, before any learning; {} where it learns nothing."""
        ...

    def trajectory(self, loss: Loss, params: Params, support: Any, rule: Params) -> Iterator[Params]:
        """The parameters before the first step and after each one. Nothing that is passed in is changed."""
        ...


@dataclass(frozen=True)
class InnerLoop:
    """Gradient descent on the support set.

    ===========================================  ==========================================================
    MAML (Finn et al. 2017)                      ``InnerLoop()``
    FOMAML (the same)                            ``InnerLoop(second_order=False)``
    ANIL (Raghu et al. 2020)                     ``InnerLoop(adapts=("head",))``
    CAVIA (Zintgraf et al. 2019)                 ``InnerLoop(adapts=("context",))``; its start is learned too
    Meta-SGD (Li et al. 2017)                    ``InnerLoop(rates="per parameter")``
    MAML++'s rates and losses (Antoniou et al.)  ``InnerLoop(rates="per layer and step", weights=(...))``
    training on all tasks together               ``InnerLoop(steps=0)``
    ===========================================  ==========================================================

    Attributes:
        steps: S, at least 0.
        rate: the learning rate, or where each of the learned ones begins.
        rates: which rates are learned: none, one for all, one for each tensor and step, or one for each number.
        second_order: whether the outer gradient goes through the inner gradients.
        adapts: parameters that move, each by its name or by what stands before a dot in it; None for all.
        weights: of the query losses before the first step and after each one, (S + 1,); None for the last alone.
        batches: whether the support set has an axis of S in front, a batch for each step (Reptile's inner loop).
    """

    steps: int = 1
    rate: float = 0.01
    rates: Rates = "fixed"
    second_order: bool = True
    adapts: tuple[str, ...] | None = None
    weights: tuple[float, ...] | None = None
    batches: bool = False

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.rate > 0:
            raise InputError(f"steps is 0 or more and rate is above 0; got steps={self.steps}, rate={self.rate}")
        if self.rates not in get_args(Rates):
            raise InputError(f"rates is one of {', '.join(get_args(Rates))}; got {self.rates!r}")
        check_weights(self.weights, self.steps)

    def initial(self, params: Params) -> Params:
        """Learned rates by parameter, each (1 or S, ...) with the rest as in the parameter or 1; {} for a fixed rate.

        Raises:
            InputError: no parameter adapts.
        """
        moving = self._moving(params)
        match self.rates:
            case "fixed":
                return {}
            case "one":
                return {"": next(iter(moving.values())).new_full((1,), self.rate)}
            case "per layer and step":
                return {n: p.new_full((self.steps, *(1 for _ in p.shape)), self.rate) for n, p in moving.items()}
            case "per parameter":
                return {n: p.new_full((1, *p.shape), self.rate) for n, p in moving.items()}

    def trajectory(self, loss: Loss, params: Params, support: Any, rule: Params) -> Iterator[Params]:
        """See :class:`UpdateRule`."""
        moving = self._moving(params) if self.steps else {}
        yield params
        for step in range(self.steps):
            data = tree_map(lambda x, at=step: x[at], support) if self.batches else support
            gradient = grad(lambda some, data=data: loss({**params, **some}, data))(moving)
            if not self.second_order:
                gradient = {name: g.detach() for name, g in gradient.items()}
            moving = {name: p - self._rate(rule, name, step) * gradient[name] for name, p in moving.items()}
            yield {**params, **moving}

    def _moving(self, params: Params) -> Params:
        if self.adapts is None:
            return params
        moving = {n: p for n, p in params.items() if any(n == a or n.startswith(f"{a}.") for a in self.adapts)}
        if not moving:
            raise InputError(f"adapts names parameters; none of {', '.join(params)} is one of {self.adapts}")
        return moving

    def _rate(self, rule: Params, name: str, step: int) -> Tensor | float:
        if self.rates == "fixed":
            return self.rate
        rates = rule["" if self.rates == "one" else name]
        return rates[min(step, len(rates) - 1)]


def check_weights(weights: tuple[float, ...] | None, steps: int) -> None:
    """Raise an InputError where the weights of query losses are not one for the start and one for each step."""
    if weights is not None and (len(weights) != steps + 1 or not any(weights)):
        raise InputError(f"weights are one for the start and one for each of {steps} steps, not all 0; got {weights}")


def adapt(loss: Loss, params: Params, support: Any, inner: UpdateRule, *, rule: Params | None = None) -> Params:
    """The parameters that a task's support set leads to.

    Args:
        loss: of parameters on data.
        params: where to begin; left as they are.
        support: the task's data.
        inner: how to move.
        rule: what ``inner`` has learned, where it learns anything.

    Raises:
        InputError: a rule that learns is asked for without what it has learned.
    """
    if rule is None and inner.initial(params):
        raise InputError(f"{inner} learns its rule: pass what it has learned, or initial(params) to begin, as rule")
    *_, adapted = inner.trajectory(loss, params, support, rule or {})
    return adapted
