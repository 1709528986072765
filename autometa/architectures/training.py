"""Training a network on a table: AdamW, averaged weights, and an end when the validation loss has stopped falling.

The number of epochs is not known beforehand, so no schedule is bound to it: the learning rate stays, and
what is measured and kept is a running average of the weights, which does what a falling rate would.
Letters: n rows, f inputs, m members, k outputs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from autometa.architectures.tabular import TabularNetwork

# Activations that a prediction holds at once, at most.
PREDICT_VALUES = 2**22


@dataclass(frozen=True)
class Rows:
    """Rows to learn from or to measure on.

    Attributes:
        inputs: shape (n, f).
        target: int64 class codes or float32 values, shape (n,).
        weights: shape (n,), or None for equal weights.
    """

    inputs: Tensor
    target: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device) -> Rows:
        """The same rows on a device."""
        weights = None if self.weights is None else self.weights.to(device)
        return Rows(self.inputs.to(device), self.target.to(device), weights)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        learning_rate: of AdamW.
        weight_decay: of AdamW, on matrices only.
        batch_size: rows of a step.
        label_smoothing: share of the target that is spread over all classes.
        epochs: at most.
        patience: epochs that must bring a gain together, or training ends.
        gain: what they must bring, as a share of the loss.
        average: share of the running average that a step keeps.
        deadline: time (time.monotonic) at which training ends; None for never.
    """

    learning_rate: float
    weight_decay: float
    batch_size: int
    label_smoothing: float = 0.0
    epochs: int = 100
    patience: int = 12
    gain: float = 2e-3
    average: float = 0.98
    deadline: float | None = None

    @property
    def late(self) -> bool:
        """Whether the time for training is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline


@dataclass(frozen=True)
class Training:
    """How a training went: validation loss after each epoch, and whether the deadline ended it."""

    curve: tuple[float, ...]
    stopped_by_clock: bool


class FlatWeights:
    """All weights of a network in one piece of memory, so that a step is few operations on it.

    Matrices come first: they alone decay.
    """

    def __init__(self, network: nn.Module) -> None:
        parameters = sorted(network.parameters(), key=lambda p: not _is_matrix(p))
        self.values = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.slopes = torch.zeros_like(self.values)
        start = 0
        for p in parameters:
            part = slice(start, start + p.numel())
            p.data = self.values[part].view(p.shape)
            p.grad = self.slopes[part].view(p.shape)
            start += p.numel()
        self.decaying = sum(p.numel() for p in parameters if _is_matrix(p))
        self.average = self.values.clone()
        self._steps = 0

    def optimizer(self, recipe: Recipe) -> torch.optim.AdamW:
        """AdamW over the two pieces."""
        pieces = []
        for part, decay in ((slice(0, self.decaying), recipe.weight_decay), (slice(self.decaying, None), 0.0)):
            piece = nn.Parameter(self.values[part])
            piece.grad = self.slopes[part]
            pieces.append({"params": [piece], "weight_decay": decay})
        return torch.optim.AdamW(pieces, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=True)

    def follow(self, keep: float) -> None:
        """Move the average towards the weights."""
        self._steps += 1
        # Early on it forgets faster, or it would be made of the random start.
        self.average.lerp_(self.values, 1 - min(keep, self._steps / (self._steps + 9.0)))

    def swap(self) -> None:
        """Exchange the weights with their average."""
        kept = self.values.clone()
        self.values.copy_(self.average)
        self.average.copy_(kept)

    def release(self, network: nn.Module) -> None:
        """Give each weight memory of its own again."""
        for p in network.parameters():
            p.data, p.grad = p.data.clone(), None


def train(network: TabularNetwork, rows: Rows, valid: Rows, recipe: Recipe, generator: torch.Generator) -> Training:
    """Train in place; the network ends with its best averaged weights.

    Args:
        network: what is trained.
        rows: to learn from.
        valid: to measure on after each epoch; where there are none, all epochs are run.
        recipe: how.
        generator: of the order of the rows.
    """
    weights = FlatWeights(network)
    optimizer = weights.optimizer(recipe)
    buffers = list(network.buffers())
    best, best_loss = [tensor.clone() for tensor in (weights.values, *buffers)], math.inf
    mark, marked = math.inf, 0
    curve: list[float] = []
    late = False
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        for picked in _batches(len(rows), recipe.batch_size, generator, rows.target.device):
            weights.slopes.zero_()
            torch.autograd.backward(_loss(network, rows, picked, recipe.label_smoothing))
            optimizer.step()
            weights.follow(recipe.average)
            late = recipe.late
            if late:
                break
        weights.swap()
        loss = measure(network, valid) if len(valid) else -float(epoch)
        curve.append(loss)
        if loss < best_loss:
            best, best_loss = [tensor.clone() for tensor in (weights.values, *buffers)], loss
        if mark == math.inf or loss < mark - recipe.gain * abs(mark):
            mark, marked = loss, epoch
        weights.swap()
        if late or epoch - marked >= recipe.patience:
            break
    for tensor, kept in zip((weights.values, *buffers), best, strict=True):
        tensor.copy_(kept)
    weights.release(network)
    return Training(tuple(curve) if len(valid) else (), late)


def predict(network: TabularNetwork, inputs: Tensor, *, classes: bool) -> Tensor:
    """Mean over the members of the probabilities, or of the values; shape (n, k)."""
    network.eval()
    at_once = max(256, PREDICT_VALUES // (network.shape.width * network.shape.members))
    found = []
    with torch.no_grad():
        for part in torch.split(inputs, at_once):
            scores = network(part)
            found.append((scores.softmax(-1) if classes else scores).mean(dim=0))
    return torch.cat(found)


def measure(network: TabularNetwork, rows: Rows) -> float:
    """Log-loss of the mean probabilities, or mean squared error of the mean values."""
    classes = not rows.target.is_floating_point()
    found = predict(network, rows.inputs, classes=classes)
    if classes:
        loss = functional.nll_loss(found.clamp_min(1e-7).log(), rows.target, reduction="none")
    else:
        loss = (found[:, 0] - rows.target) ** 2
    if rows.weights is None:
        return float(loss.mean())
    return float((loss * rows.weights).sum() / rows.weights.sum())


def _is_matrix(weights: Tensor) -> bool:
    """Whether it mixes columns: scales and biases of members have a length of 1 on one side."""
    return weights.dim() > 1 and min(weights.shape[-2:]) > 1


def _batches(rows: int, size: int, generator: torch.Generator, device: torch.device) -> Sequence[Tensor]:
    order = torch.randperm(rows, generator=generator).to(device)
    # Of nearly one size: a last one of three rows would be mostly noise.
    return torch.tensor_split(order, max(1, round(rows / size)))


def _loss(network: TabularNetwork, rows: Rows, picked: Tensor, smoothing: float) -> Tensor:
    """Mean over rows and members."""
    scores = network(rows.inputs[picked])
    members, _, outputs = scores.shape
    target = rows.target[picked]
    if rows.target.is_floating_point():
        loss = (scores[:, :, 0] - target) ** 2
    else:
        named = target.expand(members, -1).reshape(-1)
        flat = scores.reshape(-1, outputs)
        if rows.weights is None:
            return functional.cross_entropy(flat, named, label_smoothing=smoothing)
        loss = functional.cross_entropy(flat, named, label_smoothing=smoothing, reduction="none").view(members, -1)
    weighted: Tensor = loss if rows.weights is None else loss * rows.weights[picked]
    return weighted.mean()
