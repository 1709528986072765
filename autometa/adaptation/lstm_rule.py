"""The LSTM meta-learner: an LSTM that reads gradients and losses, and whose cell state is the learner's parameters.

Ravi and Larochelle 2017, "Optimization as a Model for Few-Shot Learning". Each of P numbers of the parameters is a
coordinate; all share one set of weights. The gates see gradient and loss through the plain LSTM below them, as in the
authors' code. With hidden size H:

    (h, s)  = LSTM(preprocessed gradient and loss; h, s)            a plain LSTM, state (P, H)
    f       = sigmoid(W_f [h, theta, f] + b_f)                      how much of theta stays, (P, 1)
    i       = sigmoid(W_i [h, theta, i] + b_i)                      the learning rate, (P, 1)
    theta   = f * theta - i * gradient
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value

from autometa.adaptation.inner_loop import Loss, Params, check_weights
from autometa.errors import InputError

INPUTS = 4  # two numbers each for the gradient and the loss
SCALE = 10.0  # the paper's p: what is smaller than exp(-p) is scaled rather than measured in logarithms


@dataclass(frozen=True)
class LSTMRule:
    """The update rule of Ravi and Larochelle; no gradient goes through the gradients and losses that it reads.

    Attributes:
        steps: S.
        hidden: H.
        rate: that the gate i begins with.
        forget: that the gate f begins to take away.
        seed: of the weights before any learning.
        weights: see :class:`UpdateRule`.
    """

    steps: int = 5
    hidden: int = 20
    rate: float = 0.01
    forget: float = 1e-4
    seed: int = 0
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if min(self.steps, self.hidden) < 1 or not (0 < self.rate < 1 and 0 < self.forget < 1):
            raise InputError(
                f"steps and hidden are 1 or more, rate and forget between 0 and 1; got steps={self.steps}, "
                f"hidden={self.hidden}, rate={self.rate}, forget={self.forget}"
            )
        check_weights(self.weights, self.steps)

    def initial(self, params: Params) -> Params:
        """The LSTM's weights: gates nearly a plain gradient step."""
        some = next(iter(params.values()))
        generator = torch.Generator().manual_seed(self.seed)
        bound = 1 / math.sqrt(self.hidden)

        def drawn(*shape: int) -> Tensor:
            return ((2 * torch.rand(shape, generator=generator) - 1) * bound).to(some)

        return {
            "input": drawn(INPUTS, 4 * self.hidden),
            "hidden": drawn(self.hidden, 4 * self.hidden),
            "bias": drawn(4 * self.hidden),
            "stay": 0.01 * drawn(self.hidden + 2, 1),
            "stay_bias": some.new_tensor([_logit(1 - self.forget)]),
            "move": 0.01 * drawn(self.hidden + 2, 1),
            "move_bias": some.new_tensor([_logit(self.rate)]),
        }

    def trajectory(self, loss: Loss, params: Params, support: Any, rule: Params) -> Iterator[Params]:
        """See :class:`UpdateRule`."""
        yield params
        theta = torch.cat([p.reshape(-1) for p in params.values()])[:, None]
        h = s = theta.new_zeros(len(theta), self.hidden)
        f, i = torch.ones_like(theta), torch.zeros_like(theta)
        for _ in range(self.steps):
            gradient, value = grad_and_value(loss)(_like(theta, params), support)
            moves = torch.cat([gradient[name].reshape(-1) for name in params])[:, None].detach()
            seen = torch.cat([preprocess(moves), preprocess(value.detach().expand_as(moves))], dim=1)
            h, s = lstm_cell(rule, seen, h, s)
            f = torch.sigmoid(torch.cat([h, theta, f], dim=1) @ rule["stay"] + rule["stay_bias"])
            i = torch.sigmoid(torch.cat([h, theta, i], dim=1) @ rule["move"] + rule["move_bias"])
            theta = f * theta - i * moves
            yield _like(theta, params)


def preprocess(x: Tensor) -> Tensor:
    """Logarithm and sign of numbers (P, 1) that gradients of any size can be read by, (P, 2); the paper's appendix."""
    large = x.abs() >= math.exp(-SCALE)
    size = torch.where(large, x.abs().clamp(min=math.exp(-SCALE)).log() / SCALE, -1.0)
    sign = torch.where(large, x.sign(), math.exp(SCALE) * x)
    return torch.cat([size, sign], dim=1)


def lstm_cell(rule: Params, x: Tensor, h: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM: inputs (P, 4), output and state (P, H); gates in PyTorch's order."""
    gates = x @ rule["input"] + h @ rule["hidden"] + rule["bias"]
    enter, stay, new, leave = gates.chunk(4, dim=1)
    s = torch.sigmoid(stay) * s + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(leave) * torch.tanh(s), s


def _like(theta: Tensor, params: Params) -> Params:
    parts = torch.split(theta[:, 0], [p.numel() for p in params.values()])
    return {name: part.reshape(p.shape) for (name, p), part in zip(params.items(), parts, strict=True)}


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
