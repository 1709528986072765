"""CatBoost on arrays, without its wrappers or its files.

Prokhorenkova et al. 2018, "CatBoost: unbiased boosting with categorical features".
"""

from __future__ import annotations

import math
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.tables.learners.boosting import ROUNDS, EarlyStop, NativeBooster, blind_rounds, patience
from autometa.tables.learners.contract import Fitted, Job, Part
from autometa.tables.preprocess import Design
from autometa.tables.state import State

_LOSSES = {"binary": "Logloss", "multiclass": "MultiClass", "regression": "RMSE"}

# Rounds from one measurement of the validation loss to the next; one, where a round takes long.
PERIOD, LONG_ROUND = 5, 200_000


def _period(job: Job) -> int:
    return 1 if len(job.train) * job.outputs > LONG_ROUND else PERIOD


class CatBoost(NativeBooster):
    """A fitted booster, in the format of `save_model`."""

    @cached_property
    def booster(self) -> Any:
        """See :class:`NativeBooster`."""
        import catboost

        booster = catboost.CatBoost()
        try:
            booster.load_model(blob=self.content)
        except (catboost.CatBoostError, ValueError, SystemError) as error:
            raise ModelError(f"the saved CatBoost model cannot be read ({error}); save it again") from error
        if len(booster.feature_names_) != self.width:
            raise ModelError("the saved CatBoost model does not fit its columns; save it again")
        return booster

    def scores(self, design: Design) -> NDArray[Any]:
        """See :class:`NativeBooster`."""
        kind = "RawFormulaVal" if self.kind == "regression" else "Probability"
        return np.asarray(self.booster.predict(_pool(design), prediction_type=kind, thread_count=1))


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
    return CatBoost.from_state(state)


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
