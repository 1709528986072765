"""LightGBM through its training loop, without the scikit-learn wrapper.

Ke et al. 2017, "LightGBM: a highly efficient gradient boosting decision tree".
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.tables.learners.boosting import ROUNDS, EarlyStop, NativeBooster, blind_rounds, patience
from autometa.tables.learners.contract import Fitted, Job, Part
from autometa.tables.preprocess import Design
from autometa.tables.state import State

_OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}
_METRICS = {"binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "rmse"}


class LightGBM(NativeBooster):
    """A fitted booster, in the format of `model_to_string`."""

    @cached_property
    def booster(self) -> Any:
        """See :class:`NativeBooster`."""
        import lightgbm

        try:
            booster = lightgbm.Booster(model_str=self.content.decode())
        except (lightgbm.basic.LightGBMError, UnicodeError, ValueError) as error:
            raise ModelError(f"the saved LightGBM model cannot be read ({error}); save it again") from error
        if booster.num_feature() != self.width:
            raise ModelError("the saved LightGBM model does not fit its columns; save it again")
        return booster

    def scores(self, design: Design) -> NDArray[Any]:
        """See :class:`NativeBooster`."""
        found = self.booster.predict(_matrix(design), num_threads=1)
        return np.column_stack([1 - found, found]) if self.kind == "binary" else np.asarray(found)


def fit(job: Job) -> Fitted:
    """Boost until the validation loss stops falling."""
    import lightgbm

    config = job.config
    rate = float(config["lightgbm_learning_rate"])
    settings = {
        "objective": _OBJECTIVES[job.kind],
        "metric": _METRICS[job.kind],
        "learning_rate": rate,
        "num_leaves": config["lightgbm_num_leaves"],
        "min_data_in_leaf": config["lightgbm_min_data_in_leaf"],
        "feature_fraction": config["lightgbm_feature_fraction"],
        "bagging_fraction": config["lightgbm_bagging_fraction"],
        "bagging_freq": 1 if float(config["lightgbm_bagging_fraction"]) < 1 else 0,
        "lambda_l1": config["lightgbm_lambda_l1"],
        "lambda_l2": config["lightgbm_lambda_l2"],
        "extra_trees": config["lightgbm_extra_trees"],
        "cat_smooth": config["lightgbm_cat_smooth"],
        "seed": job.seed,
        "num_threads": job.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    if job.kind == "multiclass":
        settings["num_class"] = job.outputs
    table = _dataset(job.train, settings)
    booster = lightgbm.Booster(settings, table)
    if len(job.valid):
        booster.add_valid(_dataset(job.valid, settings, reference=table), "valid")
    stop = EarlyStop(patience(rate), job)
    for _ in range(ROUNDS if len(job.valid) else blind_rounds(rate)):
        # True where no tree can be split any more.
        finished = booster.update()
        loss = booster.eval_valid()[0][2] if len(job.valid) else None
        if stop.after(loss) or finished:
            break
    content = booster.model_to_string(num_iteration=stop.best_rounds).encode()
    learner = LightGBM(content, job.train.design.width, job.outputs, job.kind)
    return Fitted(learner, tuple(stop.curve), stop.by_clock)


def restore(state: State) -> LightGBM:
    """What ``state()`` gave."""
    return LightGBM.from_state(state)


def _matrix(design: Design) -> NDArray[np.float32]:
    if not design.categories.shape[1]:
        return design.numbers
    # float32 holds each code below 2**24.
    return np.concatenate([design.numbers, design.categories.astype(np.float32)], axis=1)


def _dataset(part: Part, settings: dict[str, Any], reference: Any = None) -> Any:
    import lightgbm

    design = part.design
    categories = list(range(design.numbers.shape[1], design.width))
    return lightgbm.Dataset(
        _matrix(design),
        label=part.target,
        weight=part.weights,
        reference=reference,
        categorical_feature=categories,
        params=settings,
        free_raw_data=True,
    )
