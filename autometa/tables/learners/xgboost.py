"""XGBoost, where it is installed (the extra `xgboost`).

Chen and Guestrin 2016, "XGBoost: a scalable tree boosting system".
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import MissingExtraError, ModelError
from autometa.tables.learners.boosting import ROUNDS, EarlyStop, NativeBooster, blind_rounds, patience
from autometa.tables.learners.contract import Fitted, Job, Part
from autometa.tables.preprocess import Design
from autometa.tables.state import State

_OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}
_METRICS = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}


def _library() -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise MissingExtraError(
            "XGBoost is optional and is not installed; install autometa[xgboost], or leave it out of the algorithms"
        ) from error
    return xgboost


class XGBoost(NativeBooster):
    """A fitted booster, in the format of `save_raw("json")`."""

    @cached_property
    def booster(self) -> Any:
        """See :class:`NativeBooster`."""
        xgboost = _library()
        booster = xgboost.Booster({"nthread": 1})
        try:
            # XGBoost ends the process at what is not JSON at all.
            json.loads(self.content)["learner"]["gradient_booster"]
            booster.load_model(bytearray(self.content))
        except (xgboost.core.XGBoostError, ValueError, LookupError, TypeError) as error:
            raise ModelError(f"the saved XGBoost model cannot be read ({error}); save it again") from error
        if booster.num_features() != self.width:
            raise ModelError("the saved XGBoost model does not fit its columns; save it again")
        return booster

    def scores(self, design: Design) -> NDArray[Any]:
        """See :class:`NativeBooster`."""
        found = self.booster.predict(_matrix(design, threads=1), validate_features=False)
        return np.column_stack([1 - found, found]) if self.kind == "binary" else np.asarray(found)


def fit(job: Job) -> Fitted:
    """Boost until the validation loss stops falling."""
    xgboost, config = _library(), job.config
    rate = float(config["xgboost_learning_rate"])
    settings = {
        "objective": _OBJECTIVES[job.kind],
        "eval_metric": _METRICS[job.kind],
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "learning_rate": rate,
        "max_depth": config["xgboost_max_depth"],
        "max_leaves": config["xgboost_max_leaves"],
        "min_child_weight": config["xgboost_min_child_weight"],
        "subsample": config["xgboost_subsample"],
        "colsample_bylevel": config["xgboost_colsample_bylevel"],
        "alpha": config["xgboost_reg_alpha"],
        "lambda": config["xgboost_reg_lambda"],
        "seed": job.seed,
        "nthread": job.threads,
        "verbosity": 0,
    }
    if job.kind == "multiclass":
        settings["num_class"] = job.outputs
    table = _matrix(job.train.design, job.train, threads=job.threads)
    valid = _matrix(job.valid.design, job.valid, threads=job.threads) if len(job.valid) else None
    booster = xgboost.Booster(settings, [table] if valid is None else [table, valid])
    stop = EarlyStop(patience(rate), job)
    for i in range(blind_rounds(rate) if valid is None else ROUNDS):
        booster.update(table, i)
        # The answer reads "[7] valid-logloss:0.123".
        loss = None if valid is None else float(booster.eval(valid, "valid", i).rsplit(":", 1)[1])
        if stop.after(loss):
            break
    content = bytes(booster[: stop.best_rounds].save_raw("json"))
    learner = XGBoost(content, job.train.design.width, job.outputs, job.kind)
    return Fitted(learner, tuple(stop.curve), stop.by_clock)


def restore(state: State) -> XGBoost:
    """What ``state()`` gave."""
    return XGBoost.from_state(state)


def _matrix(design: Design, part: Part | None = None, *, threads: int) -> Any:
    categories = design.categories.shape[1]
    return _library().DMatrix(
        np.concatenate([design.numbers, design.categories.astype(np.float32)], axis=1),
        label=None if part is None else part.target,
        weight=None if part is None else part.weights,
        feature_types=["q"] * design.numbers.shape[1] + ["c"] * categories,
        enable_categorical=categories > 0,
        nthread=threads,
    )
