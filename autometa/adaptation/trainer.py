"""The outer loop: learn a start and an update rule over many tasks, and keep what validates best."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from autometa.adaptation.outer_loss import Gradient, Learner, Tasks
from autometa.checkpoint import Checkpoint
from autometa.errors import ModelError

KIND = "meta-training"
MOST_SKIPPED = 20  # steps in a row whose gradient is not finite


@dataclass(frozen=True)
class Settings:
    """Of a meta-training.

    Attributes:
        steps: of the outer optimiser, at most.
        rate: its learning rate, falling to 0 along a half cosine where ``cosine``.
        optimiser: "adam" or "sgd" (for Reptile: the share of the way to go).
        clip: largest norm of an outer gradient, None for no limit.
        validate_every: steps between two validations.
        patience: validations without a better one that end the training; None for never.
        seed: of the tasks that are drawn.
    """

    steps: int
    rate: float = 1e-3
    cosine: bool = False
    optimiser: Literal["adam", "sgd"] = "adam"
    clip: float | None = None
    validate_every: int = 500
    patience: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        step, steps: done, and in all.
        loss: mean outer loss of the training tasks since the last report.
        validation, best: loss of the validation tasks now, and the lowest so far.
        seconds, left: spent on it so far, and still expected.
    """

    step: int
    steps: int
    loss: float
    validation: float
    best: float
    seconds: float
    left: float

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"step {self.step:,} of {self.steps:,}  loss {self.loss:.4f}  validation {self.validation:.4f} "
            f"(best {self.best:.4f})  {self.seconds:.0f} s, {self.left:.0f} s left"
        )


class MetaTrainer:
    """Trains a learner; stopped at any moment and started again, it goes on as if nothing had been.

    The tasks of a step are drawn from the seed and the step's number alone, so a resumed training takes the very steps
    of an undisturbed one.

    Args:
        gradient: of the outer loss, such as :func:`meta_gradient` with its first arguments given.
        draw: makes the batch of a step.
        validate: loss on tasks that are never trained on; the learner with the lowest is kept.
        settings: of the training.
        checkpoint: file to resume from and to write at each validation; None to keep nothing.
        watch: is told how it goes.
    """

    def __init__(
        self,
        gradient: Gradient,
        draw: Callable[[torch.Generator], Tasks],
        validate: Callable[[Learner], float],
        settings: Settings,
        *,
        checkpoint: Path | None = None,
        watch: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._gradient, self._draw, self._validate = gradient, draw, validate
        self._settings, self._checkpoint, self._watch = settings, checkpoint, watch

    def train(self, learner: Learner) -> Learner:
        """The best learner by validation, found from this one on. The one passed in is not changed.

        Raises:
            ModelError: the checkpoint is of another training, or gradients stay infinite.
        """
        state = _State(learner, self._settings)
        if self._checkpoint is not None and self._checkpoint.exists():
            state.restore(Checkpoint.load(self._checkpoint, KIND), self._checkpoint)
        losses: list[float] = []
        skipped, began = 0, time.monotonic() - state.seconds
        while not state.over:
            value, gradient = self._gradient(state.learner, self._draw(_generator(self._settings.seed, state.step)))
            skipped = 0 if state.update(gradient) else skipped + 1
            if skipped > MOST_SKIPPED:
                raise ModelError(
                    f"the outer gradient was not finite {skipped} times in a row, up to step {state.step}; "
                    "lower the inner or the outer rate"
                )
            losses.append(float(value))
            if state.step % self._settings.validate_every == 0 or state.step == self._settings.steps:
                state.judge(self._validate(state.learner))
                state.seconds = time.monotonic() - began
                if self._checkpoint is not None:
                    state.to_checkpoint().save(self._checkpoint)
                self._watch(state.progress(sum(losses) / len(losses)))
                losses = []
        return state.best


class _State:
    """All that a training changes."""

    def __init__(self, learner: Learner, settings: Settings) -> None:
        self.settings = settings
        self.learner = _map(lambda t: t.detach().clone(), learner)
        self.best, self.best_loss, self.validation = _map(torch.clone, self.learner), math.inf, math.nan
        self.step, self.worse, self.seconds = 0, 0, 0.0
        leaves = [t for _, t in _named(self.learner)]
        make = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.SGD
        self._optimiser = make(leaves, lr=settings.rate)

    @property
    def over(self) -> bool:
        patience = self.settings.patience
        return self.step >= self.settings.steps or (patience is not None and self.worse >= patience)

    def update(self, gradient: Learner) -> bool:
        """Take a step; False where the gradient is not finite, which leaves everything as it was."""
        gradients = [g for _, g in _named(gradient)]
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
        share = self.step / self.settings.steps
        self.step += 1
        if not torch.isfinite(norm):
            return False
        if self.settings.clip is not None and norm > self.settings.clip:
            gradients = [g * (self.settings.clip / norm) for g in gradients]
        for group in self._optimiser.param_groups:
            group["lr"] = self.settings.rate * ((1 + math.cos(math.pi * share)) / 2 if self.settings.cosine else 1.0)
        for (_, leaf), g in zip(_named(self.learner), gradients, strict=True):
            leaf.grad = g
        self._optimiser.step()
        return True

    def judge(self, validation: float) -> None:
        """Keep the learner if it is the best so far."""
        self.validation = validation
        if validation < self.best_loss:
            self.best, self.best_loss, self.worse = _map(torch.clone, self.learner), validation, 0
        else:
            self.worse += 1

    def progress(self, loss: float) -> Progress:
        left = self.seconds * (self.settings.steps - self.step) / self.step
        return Progress(self.step, self.settings.steps, loss, self.validation, self.best_loss, self.seconds, left)

    def to_checkpoint(self) -> Checkpoint:
        tensors = {f"now.{name}": t for name, t in _named(self.learner)}
        tensors |= {f"best.{name}": t for name, t in _named(self.best)}
        for place, moments in self._optimiser.state_dict()["state"].items():
            tensors |= {f"moment.{place}.{name}": torch.as_tensor(m) for name, m in moments.items()}
        numbers = {"step": self.step, "worse": self.worse, "seconds": self.seconds}
        losses = {"best_loss": self.best_loss, "validation": self.validation}
        return Checkpoint(KIND, tensors, {"training": asdict(self.settings), **numbers, **losses})

    def restore(self, found: Checkpoint, path: Path) -> None:
        """Go on from a checkpoint."""
        wanted, settings = asdict(self.settings), dict(found.settings)
        if settings["training"] != json.loads(json.dumps(wanted)):
            raise ModelError(
                f"{path} is of a training with settings {settings['training']}, not {wanted}; "
                "give the same settings, or another file"
            )
        shapes = {f"now.{name}": t.shape for name, t in _named(self.learner)}
        if shapes != {name: t.shape for name, t in found.tensors.items() if name.startswith("now.")}:
            raise ModelError(f"{path} is of a training of other parameters; give another file")
        with torch.no_grad():
            for name, t in _named(self.learner):
                t.copy_(found.tensors[f"now.{name}"])
        best = {name: found.tensors[f"best.{name}"].to(t.device) for name, t in _named(self.learner)}
        self.best = Learner(
            {name: best[f"params.{name}"] for name in self.learner.params},
            {name: best[f"rule.{name}"] for name in self.learner.rule},
        )
        moments: dict[int, dict[str, Tensor]] = {}
        for name, t in found.tensors.items():
            if name.startswith("moment."):
                _, place, moment = name.split(".")
                moments.setdefault(int(place), {})[moment] = t
        self._optimiser.load_state_dict(self._optimiser.state_dict() | {"state": moments})
        self.step, self.worse, self.seconds = settings["step"], settings["worse"], settings["seconds"]
        self.best_loss, self.validation = settings["best_loss"], settings["validation"]


def _generator(seed: int, step: int) -> torch.Generator:
    # PyTorch's generator looks at 32 bits of a seed only, so the two are mixed and not put side by side.
    (mixed,) = np.random.SeedSequence([seed, step]).generate_state(1)
    return torch.Generator().manual_seed(int(mixed))


def _named(learner: Learner) -> Iterator[tuple[str, Tensor]]:
    for part in ("params", "rule"):
        for name, t in getattr(learner, part).items():
            yield f"{part}.{name}", t


def _map(function: Callable[[Tensor], Tensor], learner: Learner) -> Learner:
    return Learner(*({name: function(t) for name, t in part.items()} for part in learner))
