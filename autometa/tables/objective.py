"""One evaluation: preprocess, fit, predict the validation rows, measure.

`OBJECTIVE_VERSION` changes whenever the same config on the same rows would give another loss.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import InputError
from autometa.space import Config
from autometa.tables.fold_model import FoldModel
from autometa.tables.learners import fit_learner
from autometa.tables.learners.contract import Job, Part
from autometa.tables.metrics import Metric
from autometa.tables.preprocess import Preprocessor
from autometa.tables.responses import Responses
from autometa.tables.table import Table

OBJECTIVE_VERSION = "tabular-objective-1"


@dataclass(frozen=True)
class Evaluation:
    """What one fit gave.

    Attributes:
        model: the fitted model.
        predictions: of the validation rows, float32, shape (n_valid, outputs).
        loss: of these predictions.
        seconds: that preprocessing and fit took.
        predict_seconds: that the predictions took.
        curve: the learner's own validation loss by round or epoch, () where it has none.
        stopped_by_clock: whether the limit of time ended the training.
    """

    model: FoldModel
    predictions: NDArray[np.float32]
    loss: float
    seconds: float
    predict_seconds: float
    curve: tuple[float, ...]
    stopped_by_clock: bool


def evaluate(
    config: Config,
    table: Table,
    train_rows: NDArray[np.intp],
    valid_rows: NDArray[np.intp],
    metric: Metric,
    *,
    seed: int,
    budget: float = 1.0,
    seconds: float | None = None,
    threads: int = 1,
    gpus: float = 0.0,
) -> Evaluation:
    """Fit a config on some rows and measure it on others.

    Bit for bit the same for the same config, rows and seed on one machine, as long as ``seconds`` is None.

    Args:
        config: active names of tabular-1.
        table: inputs and target.
        train_rows: row numbers to fit on.
        valid_rows: row numbers to stop early on, to predict and to measure on.
        metric: what is measured.
        seed: of everything random.
        budget: share of the training rows that is used, in (0, 1].
        seconds: the training stops itself after so long and keeps its best state.
        threads: that the fit may use.
        gpus: that the fit may use, or the share of one; 0 for none.

    Raises:
        InputError: there are no rows, or the budget is out of range.
        MissingExtraError: the learner's library is not installed.
    """
    from threadpoolctl import threadpool_limits

    started = time.monotonic()
    if not 0 < budget <= 1:
        raise InputError(f"the budget must be above 0 and at most 1; got {budget}")
    if not len(train_rows) or not len(valid_rows):
        raise InputError(f"there must be rows to fit and to validate on; got {len(train_rows)} and {len(valid_rows)}")
    seed = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
    if budget < 1:
        train_rows = _share(table, train_rows, budget, seed)
    train, valid = table.take(train_rows), table.take(valid_rows)
    responses = Responses.fit(train.target, table.outputs, train.weights)
    target = responses.encode(train.target)
    preprocessor, design = Preprocessor.fit(train.features, target, config, responses.kind, seed=seed)
    valid_design = preprocessor.transform(valid.features)
    per_class = _class_weights(target, config, responses)
    valid_target = responses.encode(valid.target)
    known = valid_target >= 0 if responses.classes else np.ones(len(valid), np.bool_)
    job = Job(
        config,
        responses.kind,
        responses.width,
        Part(design, target, _row_weights(target, train.weights, per_class)),
        Part(
            valid_design.take(known),
            valid_target[known],
            _row_weights(valid_target[known], None if valid.weights is None else valid.weights[known], per_class),
        ),
        seed,
        threads,
        None if seconds is None else started + seconds,
        gpus,
    )
    idle = responses.constant or not design.width
    algorithm = "constant" if idle else str(config["algorithm"])
    with threadpool_limits(limits=threads):
        fitted = fit_learner(job, algorithm=algorithm)
        fit_ended = time.monotonic()
        predictions = responses.decode(fitted.learner.predict(valid_design))
    predicted = time.monotonic()
    return Evaluation(
        FoldModel(preprocessor, algorithm, fitted.learner, responses),
        predictions,
        metric.loss(valid.target, predictions, valid.weights),
        fit_ended - started,
        predicted - fit_ended,
        fitted.curve,
        fitted.stopped_by_clock,
    )


def _share(table: Table, rows: NDArray[np.intp], budget: float, seed: int) -> NDArray[np.intp]:
    """A share of the rows, drawn class by class so that none gets lost."""
    generator = np.random.default_rng(seed)
    target = table.target[rows]
    groups = [np.flatnonzero(target == code) for code in np.unique(target)] if table.classes else [np.arange(len(rows))]
    drawn = [generator.choice(group, int(np.ceil(budget * len(group))), replace=False) for group in groups]
    return np.asarray(rows[np.sort(np.concatenate(drawn))])


def _class_weights(target: NDArray[Any], config: Config, responses: Responses) -> NDArray[np.float64] | None:
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[str(config["class_weights"])]
    if not responses.classes or not power:
        return None
    return np.bincount(target, minlength=responses.width).astype(np.float64) ** -power


def _row_weights(
    target: NDArray[Any], weights: NDArray[np.float64] | None, per_class: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Sample weights times class weights, of mean 1."""
    if per_class is not None:
        weights = per_class[target] if weights is None else weights * per_class[target]
    if weights is None or not len(weights):
        return None
    total = float(weights.sum())
    return weights * (len(weights) / total) if total > 0 else None
