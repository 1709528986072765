"""What a search knows of each trial while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from autometa.task import Trial

if TYPE_CHECKING:
    from autometa.space import Config

LAST_RESORT = "last resort"  # the source of a trial on few rows, made when the time was too short for any other
Stage = Literal["running", "paused", "complete", "pruned", "failed"]


@dataclass(frozen=True)
class FoldScore:
    """The outcome of one fit.

    Attributes:
        loss: on the fold's validation rows; NaN where the metric is undefined there.
        seconds: of the fit.
        predict_seconds: of predicting the validation rows.
        rounds: iterations or epochs of the kept model, 0 where there are none.
        peak_mb: resident memory of the worker at its highest during the fit.
        cut_short: whether the time limit of the fit, not its early stopping, ended it.
        node: of a cluster, where it was done; "" for this machine.
    """

    loss: float
    seconds: float
    predict_seconds: float = 0.0
    rounds: int = 0
    peak_mb: float = 0.0
    cut_short: bool = False
    node: str = ""


@dataclass
class TrialRecord:
    """One trial of a search: its config, where it came from, and the fits done so far.

    Attributes:
        number: 0, 1, ... in the order of proposal; the number in the Optuna study as well.
        source: who proposed it, such as "portfolio: CatBoost" or "tpe".
        folds: outcome of each fit by fold index.
        first_folds: folds of the first repeat; the trial's loss is the mean over these.
        elapsed: seconds since the start of the run when the trial ended; NaN before.
        refit: index in ``folds`` of a fit on more rows that stands for all others, or None.
        stage: "paused" waits for time to be found; the others are states of a trial.
        error: why it failed or was stopped.
        dropped: whether its models and predictions are gone from the disk.
    """

    number: int
    config: Config
    source: str
    first_folds: int
    folds: dict[int, FoldScore] = field(default_factory=dict)
    stage: Stage = "running"
    error: str = ""
    elapsed: float = math.nan
    refit: int | None = None
    dropped: bool = False

    @property
    def algorithm(self) -> str:
        """The learner's name."""
        return str(self.config.get("algorithm", ""))

    @property
    def prior(self) -> bool:
        """Whether its config was chosen before any score on this table was known."""
        return self.source.startswith("portfolio")

    def mean_loss(self, upto: int) -> float:
        """Mean loss over the folds 0..upto-1, those without a defined loss left out."""
        losses = [self.folds[f].loss for f in range(upto) if f in self.folds]
        known = [x for x in losses if not math.isnan(x)]
        return sum(known) / len(known) if known else math.nan

    @property
    def loss(self) -> float:
        """Mean loss over the first repeat."""
        return self.mean_loss(self.first_folds)

    @property
    def seconds(self) -> float:
        """What all its fits took together."""
        return sum(f.seconds + f.predict_seconds for f in self.folds.values())

    @property
    def fold_seconds(self) -> float:
        """What the dearest of its fits took, with the prediction; 0 before the first has ended."""
        return max((f.seconds + f.predict_seconds for f in self.folds.values()), default=0.0)

    @property
    def nodes(self) -> list[str]:
        """Nodes of a cluster that did its fits, by name."""
        return sorted({f.node for f in self.folds.values() if f.node})

    @property
    def models(self) -> list[int]:
        """Indices of the fits whose mean is predicted."""
        return sorted(self.folds) if self.refit is None else [self.refit]

    @property
    def depth(self) -> int:
        """How many folds are done without a gap from the first."""
        depth = 0
        while depth in self.folds:
            depth += 1
        return depth

    def as_trial(self) -> Trial:
        """The trial as policies see it."""
        upto = min(self.depth, self.first_folds)
        return Trial(
            config=self.config,
            state="running" if self.stage == "paused" else self.stage,
            loss=self.loss,
            fold_losses=tuple(self.folds[f].loss for f in range(upto)),
            seconds=self.seconds,
        )

    def to_json(self) -> dict[str, Any]:
        """Everything but the number and the config, as plain values."""
        return {
            "source": self.source,
            "stage": self.stage,
            "error": self.error,
            "elapsed": self.elapsed,
            "folds": {str(k): vars(v) for k, v in sorted(self.folds.items())},
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Take over what :meth:`to_json` wrote."""
        self.source = content["source"]
        self.stage = content["stage"]
        self.error = content["error"]
        self.elapsed = content["elapsed"]
        self.folds = {int(k): FoldScore(**v) for k, v in content["folds"].items()}
