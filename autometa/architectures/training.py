"""Training a network on a table: AdamW, averaged weights, and an end when the validation loss has stopped falling.

The number of epochs is not known beforehand, so no schedule is bound to it: the learning rate stays, and
what is measured and kept is a running average of the weights, which does what a falling rate would.
Letters: n rows, f inputs, m members, k outputs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

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


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        learning_rate: of AdamW.
        weight_decay: of AdamW, on matrices only.
        batch_size: rows of a step.
        label_smoothing: share of the target that is spread over all classes.
        epochs: at most.
        patience: epochs without a gain after which training ends.
        average: share of the running average that a step keeps.
        warm_up: steps over which the learning rate rises.
        deadline: time (time.monotonic) at which training ends; None for never.
    """

    learning_rate: float
    weight_decay: float
    batch_size: int
    label_smoothing: float
    epochs: int
    patience: int
    average: float
    warm_up: int
    deadline: float | None = None
    schedule: str = "constant"


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
        parameters = sorted(network.parameters(), key=lambda p: p.dim() < 2)
        self.values = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.slopes = torch.zeros_like(self.values)
        start = 0
        for p in parameters:
            part = slice(start, start + p.numel())
            p.data = self.values[part].view(p.shape)
            p.grad = self.slopes[part].view(p.shape)
            start += p.numel()
        self.matrices = sum(p.numel() for p in parameters if p.dim() >= 2)
        self.average = self.values.clone()

    def optimizer(self, recipe: Recipe) -> torch.optim.AdamW:
        """AdamW over the two pieces."""
        pieces = []
        for part, decay in ((slice(0, self.matrices), recipe.weight_decay), (slice(self.matrices, None), 0.0)):
            piece = nn.Parameter(self.values[part])
            piece.grad = self.slopes[part]
            pieces.append({"params": [piece], "weight_decay": decay})
        return torch.optim.AdamW(pieces, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=True)

    def swap(self) -> None:
        """Exchange the weights with their average."""
        kept = self.values.clone()
        self.values.copy_(self.average)
        self.average.copy_(kept)


def train(network: nn.Module, rows: Rows, valid: Rows, recipe: Recipe, generator: torch.Generator) -> Training:
    """Train in place; the network ends with its best averaged weights.

    Args:
        network: rows (n, f) to (n, m, k).
        rows: to learn from.
        valid: to measure on after each epoch; where there are none, all epochs are run.
        recipe: how.
        generator: of the order of the rows.
    """
    weights = FlatWeights(network)
    optimizer = weights.optimizer(recipe)
    buffers = list(network.buffers())
    best, best_loss, best_epoch = _snapshot(weights, buffers), math.inf, 0
    curve: list[float] = []
    late, step = False, 0
    per_epoch = max(1, math.ceil(len(rows) / recipe.batch_size))
    total = per_epoch * recipe.epochs
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        for picked in _batches(len(rows), recipe.batch_size, generator):
            step += 1
            rate = recipe.learning_rate * min(1.0, step / max(1, recipe.warm_up))
            if recipe.schedule == "cosine":
                rate *= 0.5 * (1 + math.cos(math.pi * step / total))
            for group in optimizer.param_groups:
                group["lr"] = rate
            weights.slopes.zero_()
            _loss(network, rows, picked, recipe.label_smoothing).backward()
            optimizer.step()
            # Early on the average forgets faster, or it would be made of the random start.
            keep = min(recipe.average, step / (step + 9.0))
            weights.average.lerp_(weights.values, 1 - keep)
            if recipe.deadline is not None and time.monotonic() >= recipe.deadline:
                late = True
                break
        weights.swap()
        loss = measure(network, valid) if len(valid) else -float(epoch)
        curve.append(loss)
        if loss < best_loss:
            best, best_loss, best_epoch = _snapshot(weights, buffers), loss, epoch
        weights.swap()
        if late or epoch - best_epoch >= recipe.patience:
            break
    weights.values.copy_(best[0])
    for buffer, kept in zip(buffers, best[1], strict=True):
        buffer.copy_(kept)
    network.eval()
    for p in network.parameters():
        # A copy of its own, without the slope.
        p.data, p.grad = p.data.clone(), None
    return Training(tuple(curve) if len(valid) else (), late)


def predict(network: nn.Module, inputs: Tensor, *, classes: bool) -> Tensor:
    """Mean over the members of the probabilities, or of the values; shape (n, k)."""
    network.eval()
    shape = network.shape
    at_once = max(256, PREDICT_VALUES // (shape.width * shape.members))
    found = []
    with torch.no_grad():
        for part in inputs.split(at_once):
            scores = network(part)
            found.append((scores.softmax(-1) if classes else scores).mean(dim=1))
    return torch.cat(found)


def measure(network: nn.Module, rows: Rows) -> float:
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


def _batches(rows: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    order = torch.randperm(rows, generator=generator)
    # Batches of nearly one size: a last one of three rows would be mostly noise.
    return iter(order.tensor_split(max(1, round(rows / size))))


def _loss(network: nn.Module, rows: Rows, picked: Tensor, smoothing: float) -> Tensor:
    scores = network(rows.inputs[picked])
    target = rows.target[picked]
    members = scores.shape[1]
    if rows.target.is_floating_point():
        loss = ((scores[:, :, 0] - target[:, None]) ** 2).mean(dim=1)
    elif rows.weights is None:
        spread = target[:, None].expand(-1, members).reshape(-1)
        return functional.cross_entropy(scores.reshape(-1, scores.shape[2]), spread, label_smoothing=smoothing)
    else:
        spread = target[:, None].expand(-1, members).reshape(-1)
        flat = functional.cross_entropy(
            scores.reshape(-1, scores.shape[2]), spread, label_smoothing=smoothing, reduction="none"
        )
        loss = flat.view(-1, members).mean(dim=1)
    return (loss if rows.weights is None else loss * rows.weights[picked]).mean()


def _snapshot(weights: FlatWeights, buffers: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    return weights.values.clone(), [buffer.clone() for buffer in buffers]
