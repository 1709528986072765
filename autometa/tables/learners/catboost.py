"""CatBoost on arrays, without its wrappers or its files.

Prokhorenkova et al. 2018, "CatBoost: unbiased boosting with categorical features".
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.tables.learners.boosting import ROUNDS, EarlyStop, blind_rounds, patience
from autometa.tables.learners.contract import Fitted, Job, Part
from autometa.tables.preprocess import Design
from autometa.tables.state import State

_LOSSES = {"binary": "Logloss", "multiclass": "MultiClass", "regression": "RMSE"}

# Rounds from one measurement of the validation loss to the next; one, where a round takes long.
PERIOD, LONG_ROUND = 5, 200_000


def _period(job: Job) -> int:
    return 1 if len(job.train) * job.outputs > LONG_ROUND else PERIOD


@dataclass(frozen=True)
class CatBoost:
    """A fitted booster.

    Attributes:
        content: the model in CatBoost's own format.
        width: number of columns that it reads.
        outputs: k.
        kind: of the task.
    """

    content: bytes
    width: int
    outputs: int
    kind: str

    @cached_property
    def _booster(self) -> Any:
        import catboost

        booster = catboost.CatBoost()
        try:
            booster.load_model(blob=self.content)
        except (catboost.CatBoostError, ValueError, SystemError) as error:
            raise ModelError(f"the saved CatBoost model cannot be read ({error}); save it again") from error
        if len(booster.feature_names_) != self.width:
            raise ModelError("the saved CatBoost model does not fit its columns; save it again")
        return booster

    def predict(self, design: Design) -> NDArray[np.float32]:
        """Probabilities or values, shape (n, k)."""
        if not len(design):
            return np.empty((0, self.outputs), np.float32)
        kind = "RawFormulaVal" if self.kind == "regression" else "Probability"
        found = self._booster.predict(_pool(design), prediction_type=kind, thread_count=1)
        return np.asarray(found, np.float32).reshape(len(design), self.outputs)

    def state(self) -> State:
        """What to save."""
        settings = {"width": self.width, "outputs": self.outputs, "kind": self.kind}
        return State(settings, {"model": np.frombuffer(self.content, np.uint8)})


class _Watch:
    """Ends a training by our rule: CatBoost's own would measure, and report, every single round."""

    def __init__(self, job: Job, rate: float) -> None:
        self.stop = EarlyStop(patience(rate), job)
        self._loss = _LOSSES[job.kind]
        self._validates = len(job.valid) > 0
        self._period = _period(job)

    def after_iteration(self, info: Any) -> bool:
        """Whether to go on; the name is CatBoost's."""
        if (info.iteration - 1) % self._period:
            return True
        loss = info.metrics["validation"][self._loss][-1] if self._validates else None
        return not self.stop.after(loss, rounds=self._period)


def fit(job: Job) -> Fitted:
    """Boost until the validation loss stops falling."""
    import catboost

    config, validates = job.config, len(job.valid) > 0
    rate = float(config["catboost_learning_rate"])
    subsample = float(config["catboost_subsample"])
    settings: dict[str, Any] = {
        "loss_function": _LOSSES[job.kind],
        "iterations": ROUNDS if validates else blind_rounds(rate),
        "learning_rate": rate,
        # Of more leaves than half the rows most are empty, and each costs time.
        "depth": min(int(config["catboost_depth"]), max(1, int(math.log2(max(2, len(job.train) // 2))))),
        "l2_leaf_reg": config["catboost_l2_leaf_reg"],
        "grow_policy": config["catboost_grow_policy"],
        "leaf_estimation_iterations": config["catboost_leaf_estimation_iterations"],
        "one_hot_max_size": config["catboost_one_hot_max_size"],
        "random_strength": config["catboost_random_strength"],
        "boosting_type": "Plain",
        "metric_period": _period(job),
        "use_best_model": validates,
        "random_seed": job.seed,
        "thread_count": job.threads,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
    if subsample >= 1:
        settings["bootstrap_type"] = "No"
    else:
        settings |= {"bootstrap_type": "Bernoulli" if job.kind == "multiclass" else "MVS", "subsample": subsample}
    if job.kind == "multiclass":
        settings["classes_count"] = job.outputs
    booster, watch = catboost.CatBoost(settings), _Watch(job, rate)
    booster.fit(
        _pool(job.train.design, job.train),
        eval_set=_pool(job.valid.design, job.valid) if validates else None,
        callbacks=[watch],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.cbm"
        booster.save_model(str(path))
        content = path.read_bytes()
    learner = CatBoost(content, job.train.design.width, job.outputs, job.kind)
    return Fitted(learner, tuple(watch.stop.curve), watch.stop.by_clock)


def restore(state: State) -> CatBoost:
    """What ``state()`` gave."""
    settings = state.settings
    content = state.array("model", np.uint8, None).tobytes()
    learner = CatBoost(content, int(settings["width"]), int(settings["outputs"]), str(settings["kind"]))
    learner._booster  # noqa: B018, SLF001 (a damaged model is refused now, not at the first prediction)
    return learner


def _pool(design: Design, part: Part | None = None) -> Any:
    import catboost
    import pandas as pd

    label = None if part is None else part.target
    weight = None if part is None else part.weights
    width = design.numbers.shape[1]
    if not design.categories.shape[1]:
        return catboost.Pool(design.numbers, label, weight=weight)
    # Of all the ways in, pandas categories are the one without a Python object for each cell.
    table = pd.DataFrame(design.numbers)
    for i, cardinality in enumerate(design.cardinalities):
        table[width + i] = pd.Categorical.from_codes(design.categories[:, i], categories=range(cardinality))
    return catboost.Pool(table, label, weight=weight, cat_features=list(range(width, design.width)))
