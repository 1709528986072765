"""The outer loop: learn a start and an update rule over many tasks, and keep what validates best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from autometa.adaptation.outer_loss import Gradient, Learner, Tasks
from autometa.checkpoint import Checkpoint
from autometa.errors import InputError, ModelError, TrainingError

KIND = "meta-training"
MOMENTS: dict[str, set[str]] = {"adam": {"step", "exp_avg", "exp_avg_sq"}, "sgd": set()}  # of each tensor
MOST_SKIPPED = 20  # steps in a row whose gradient is not finite


@dataclass(frozen=True)
class Settings:
    """Of a meta-training.

    Attributes:
        steps: of the outer optimiser, at most.
        rate: its learning rate, falling to 0 along a half cosine where ``cosine``.
        optimiser: "adam" or "sgd" (for Reptile: the share of the way to go).
        clip: largest norm of an outer gradient, None for no limit.
        validate_every: steps between two validations; the last step is validated in any case.
        patience: validations without a better one that end the training; None for never.
        seed: of the tasks that are drawn, and of whatever else is random in a step.
    """

    steps: int
    rate: float = 1e-3
    cosine: bool = False
    optimiser: Literal["adam", "sgd"] = "adam"
    clip: float | None = None
    validate_every: int = 500
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimiser not in ("adam", "sgd"):
            raise InputError(f"the optimiser is adam or sgd; got {self.optimiser!r}")
        if min(self.steps, self.validate_every) < 1:
            raise InputError(
                f"steps and validate_every are 1 or more; got steps={self.steps}, validate_every={self.validate_every}"
            )

    def rate_at(self, step: int) -> float:
        """The learning rate of step 0, 1, ..."""
        return self.rate * ((1 + math.cos(math.pi * step / self.steps)) / 2 if self.cosine else 1.0)


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        step, steps: done, and in all.
        loss: mean outer loss of the steps taken since the last report; NaN where none was taken.
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

    All that is random in a step comes from the seed and the step's number, so a resumed training takes the very steps
    of an undisturbed one.

    Args:
        gradient: of the outer loss, such as :func:`meta_gradient` with its first arguments given.
        draw: makes the batch of a step, from a generator on the CPU.
        validate: loss on tasks that are never trained on. The learner with the lowest is kept, among those after each
            ``validate_every`` steps.
        settings: of the training.
        about: what is trained besides, in words; a checkpoint of something else is refused.
        checkpoint: file to resume from and to write at each validation; None to keep nothing.
        watch: is told how it goes.
        time_limit: seconds after which it ends with a last validation, those before a kill counted; None for none.

    Attributes:
        progress: where it stands; None before the first validation.
    """

    def __init__(
        self,
        gradient: Gradient,
        draw: Callable[[torch.Generator], Tasks],
        validate: Callable[[Learner], float],
        settings: Settings,
        *,
        about: str = "",
        checkpoint: Path | None = None,
        watch: Callable[[Progress], None] = lambda _: None,
        time_limit: float | None = None,
    ) -> None:
        self._gradient, self._draw, self._validate = gradient, draw, validate
        self._settings, self._checkpoint, self._watch = settings, checkpoint, watch
        self._about, self._limit = about, math.inf if time_limit is None else time_limit
        self.progress: Progress | None = None

    def train(self, learner: Learner) -> Learner:
        """The best learner by validation, found from this one on. The one passed in is not changed.

        Raises:
            ModelError: the checkpoint is of another training, or damaged.
            TrainingError: gradients stay infinite.
        """
        state = _State(learner, self._settings, self._about)
        if self._checkpoint is not None:
            self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
            if self._checkpoint.exists():
                state.restore(Checkpoint.load(self._checkpoint, KIND), self._checkpoint)
                self.progress = state.progress(math.nan, self._limit)
        losses: list[float] = []
        began, validating = time.monotonic() - state.seconds, 0.0
        while not state.over and state.seconds < self._limit:
            with torch.random.fork_rng():
                seed = _mixed(self._settings.seed, state.step)
                torch.manual_seed(seed)
                value, gradient = self._gradient(state.learner, self._draw(torch.Generator().manual_seed(seed)))
            losses.append(float(value))
            state.update(gradient)
            elapsed = time.monotonic() - began
            last = state.step == self._settings.steps or elapsed + validating >= self._limit
            if last or state.step % self._settings.validate_every == 0:
                with torch.random.fork_rng():
                    torch.manual_seed(self._settings.seed)
                    state.judge(float(self._validate(state.learner)))
                state.seconds = time.monotonic() - began
                validating = max(validating, state.seconds - elapsed)
                if self._checkpoint is not None:
                    state.to_checkpoint().save(self._checkpoint)
                self.progress = state.progress(_mean(losses), self._limit)
                self._watch(self.progress)
                losses = []
                if last:
                    break
        return state.best


def _mean(losses: list[float]) -> float:
    """Of those that are finite: a step whose loss is not was not taken. NaN where none is."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite) / len(finite) if finite else math.nan


class _State:
    """All that a training changes, its tensors by name: "params.NAME" and "rule.NAME"."""

    def __init__(self, learner: Learner, settings: Settings, about: str) -> None:
        self.settings, self.about = settings, about
        self.now = {name: t.detach().clone() for name, t in _flat(learner).items()}
        self._best = {name: t.clone() for name, t in self.now.items()}
        self.best_loss, self.validation, self.seconds = math.inf, math.nan, 0.0
        self.step, self.worse, self.skipped = 0, 0, 0
        make = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.SGD
        self._optimiser = make(list(self.now.values()), lr=settings.rate)

    @property
    def learner(self) -> Learner:
        return _learner(self.now)

    @property
    def best(self) -> Learner:
        return _learner(self._best)

    @property
    def over(self) -> bool:
        patience = self.settings.patience
        return self.step >= self.settings.steps or (patience is not None and self.worse >= patience)

    def update(self, gradient: Learner) -> None:
        """Take a step; a gradient that is not finite leaves everything as it was."""
        gradients = {name: g.detach() for name, g in _flat(gradient).items()}
        norm = math.sqrt(sum(float(torch.linalg.vector_norm(g, dtype=torch.float64)) ** 2 for g in gradients.values()))
        rate = self.settings.rate_at(self.step)
        self.step += 1
        if not math.isfinite(norm):
            self.skipped += 1
            if self.skipped > MOST_SKIPPED:
                raise TrainingError(
                    f"the outer gradient is finite at least once in {MOST_SKIPPED + 1} steps; it was not in those up "
                    f"to step {self.step}: lower the inner or the outer rate"
                )
            return
        self.skipped = 0
        share = 1.0 if self.settings.clip is None else min(1.0, self.settings.clip / max(norm, 1e-300))
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        for name, leaf in self.now.items():
            leaf.grad = share * gradients[name]
        self._optimiser.step()
        for leaf in self.now.values():
            leaf.grad = None

    def judge(self, validation: float) -> None:
        """Keep the learner if it is the best so far."""
        self.validation = validation
        if validation < self.best_loss:
            self._best = {name: t.clone() for name, t in self.now.items()}
            self.best_loss, self.worse = validation, 0
        else:
            self.worse += 1

    def progress(self, loss: float, limit: float) -> Progress:
        left = self.seconds * (self.settings.steps - self.step) / self.step
        left = max(min(left, limit - self.seconds), 0.0)
        return Progress(self.step, self.settings.steps, loss, self.validation, self.best_loss, self.seconds, left)

    def to_checkpoint(self) -> Checkpoint:
        tensors = {f"now.{name}": t for name, t in self.now.items()}
        tensors |= {f"best.{name}": t for name, t in self._best.items()}
        for name, moments in zip(self.now, self._optimiser.state_dict()["state"].values(), strict=False):
            tensors |= {f"{moment}.{name}": torch.as_tensor(m) for moment, m in moments.items()}
        return Checkpoint(KIND, tensors, self._numbers() | {"training": self._training()})

    def restore(self, found: Checkpoint, path: Path) -> None:
        """Go on from a checkpoint."""
        if found.settings.get("training") != self._training():
            raise ModelError(
                f"{path} is of another training: {found.settings.get('training')}, not {self._training()}; "
                "give what it was begun with, or another file"
            )
        shapes = {f"now.{name}": (t.shape, t.dtype) for name, t in self.now.items()}
        if shapes != {n: (t.shape, t.dtype) for n, t in found.tensors.items() if n.startswith("now.")}:
            raise ModelError(f"{path} is of a training of other parameters; give another file")
        try:
            for name, t in self.now.items():
                t.copy_(found.tensors[f"now.{name}"])
                self._best[name].copy_(found.tensors[f"best.{name}"])
            moments = {
                place: {kind: found.tensors[f"{kind}.{name}"] for kind in MOMENTS[self.settings.optimiser]}
                for place, name in enumerate(self.now)
            }
            state = {place: some for place, some in moments.items() if some}
            self._optimiser.load_state_dict(self._optimiser.state_dict() | {"state": state})
            for number in self._numbers():
                setattr(self, number, found.settings[number])
        except (KeyError, ValueError, RuntimeError) as error:
            raise ModelError(f"{path} is damaged ({error}); remove it to begin anew") from error

    def _training(self) -> dict[str, object]:
        return asdict(self.settings) | {"about": self.about}

    def _numbers(self) -> dict[str, float]:
        names = ("step", "worse", "skipped", "seconds", "best_loss", "validation")
        return {name: getattr(self, name) for name in names}


def _flat(learner: Learner) -> dict[str, Tensor]:
    return {f"{part}.{name}": t for part in learner._fields for name, t in getattr(learner, part).items()}


def _learner(tensors: dict[str, Tensor]) -> Learner:
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in Learner._fields}
    for name, t in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = t
    return Learner(**parts)


def _mixed(seed: int, step: int) -> int:
    # PyTorch's generator looks at 32 bits of a seed only, so the two are mixed and not put side by side.
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
