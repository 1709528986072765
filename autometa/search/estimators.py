"""The search as scikit-learn estimators."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d, validate_data

from autometa.errors import InputError
from autometa.search.api import search
from autometa.search.inline import InlineExecutor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from autometa.tables.model import Model

_TARGET, _WEIGHT = "__target__", "__weight__"


class _AutoMeta(BaseEstimator):  # type: ignore[misc]
    """What both estimators share.

    Args:
        time_limit: wall time of a fit, in seconds or as "60s", "5m". Without it and without ``trials``:
            five minutes.
        trials: how many configs to try; without a time limit the fit is reproducible.
        metric: name of the metric to optimise.
        space: name of a shipped search space, or a TOML file.
        random_state: the one source of randomness.
        workers: fits at the same time; 0 fits in this very process.
        memory: for all processes, in bytes or as "4G".
        policy: "portfolio", "tpe", "gp" or "random".
        out: where to keep the run folder; by default nothing is kept, also not for later searches to learn from.
    """

    _task = ""

    def __init__(
        self,
        *,
        time_limit: float | str | None = None,
        trials: int | None = None,
        metric: str | None = None,
        space: str = "tabular",
        random_state: int = 0,
        workers: int | None = None,
        memory: int | str | None = None,
        policy: str = "portfolio",
        out: str | None = None,
    ) -> None:
        self.time_limit = time_limit
        self.trials = trials
        self.metric = metric
        self.space = space
        self.random_state = random_state
        self.workers = workers
        self.memory = memory
        self.policy = policy
        self.out = out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def fit(self, X: ArrayLike | pd.DataFrame, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Search on n rows.

        Args:
            X: shape (n, f); in a DataFrame, categories, text and dates are welcome.
            y: shape (n,).
            sample_weight: shape (n,).
        """
        frame, target = self._checked(X, y)
        self._check_target(target, sample_weight)
        frame = frame.assign(**{_TARGET: target})
        if sample_weight is not None:
            frame[_WEIGHT] = np.asarray(sample_weight, dtype=np.float64)
        with tempfile.TemporaryDirectory() as scratch:
            result = search(
                frame,
                target=_TARGET,
                task=self._task,  # type: ignore[arg-type]
                metric=self.metric,
                time_limit=self.time_limit,
                trials=self.trials,
                space=self.space,
                out=self.out or Path(scratch) / "run",
                seed=self.random_state,
                workers=self.workers or (1 if self.workers == 0 else None),
                memory=self.memory,
                policy=self.policy,  # type: ignore[arg-type]
                weight=None if sample_weight is None else _WEIGHT,
                executor=InlineExecutor() if self.workers == 0 else None,
                learn=self.out is not None,
                report=self.out is not None,
            )
            self.leaderboard_ = result.leaderboard
            self.model_: Model = result.model.loaded()
        return self

    def _check_target(self, y: NDArray[Any], sample_weight: ArrayLike | None) -> None:
        """Refuse a target that cannot be learned."""

    def predict(self, X: ArrayLike | pd.DataFrame) -> NDArray[Any]:
        """The class or number of each row, shape (n,)."""
        predictions = self._raw(X)
        return self.model_.labels(predictions)

    def _raw(self, X: ArrayLike | pd.DataFrame) -> NDArray[np.floating]:
        check_is_fitted(self)
        return self.model_.predict_raw(self._frame(X, reset=False))[0]

    def _checked(self, X: Any, y: Any) -> tuple[pd.DataFrame, NDArray[Any]]:
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, y, skip_check_array=True)
            return _plain_index(X), column_or_1d(y, warn=True)
        X, y = validate_data(
            self,
            X,
            y,
            dtype=None,
            ensure_all_finite="allow-nan",
            y_numeric=self._task == "regression",
            ensure_min_samples=2,
        )
        return _named(X), y

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return _plain_index(X)
        return _named(validate_data(self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan"))


class AutoMetaClassifier(ClassifierMixin, _AutoMeta):  # type: ignore[misc]
    """A search for classes, as a scikit-learn classifier."""

    __doc__ += _AutoMeta.__doc__.split("\n", 1)[1]  # type: ignore[union-attr]
    _task = "classification"

    def fit(self, X: ArrayLike | pd.DataFrame, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Search on n rows; y holds their classes."""
        super().fit(X, y, sample_weight)
        self.classes_ = np.array(self.model_.codec.labels)
        return self

    def _check_target(self, y: NDArray[Any], sample_weight: ArrayLike | None) -> None:
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
        if weights.shape == y.shape and weights.any() and len(np.unique(y[weights > 0].astype(str))) < 2:
            raise InputError("a classifier needs rows of two classes with weights above 0; there is one class")

    def predict_proba(self, X: ArrayLike | pd.DataFrame) -> NDArray[np.floating]:
        """The probability of each class, shape (n, c), in the order of ``classes_``."""
        return self._raw(X)


class AutoMetaRegressor(RegressorMixin, _AutoMeta):  # type: ignore[misc]
    """A search for numbers, as a scikit-learn regressor."""

    __doc__ += _AutoMeta.__doc__.split("\n", 1)[1]  # type: ignore[union-attr]
    _task = "regression"


def _named(X: NDArray[Any]) -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])]).infer_objects()


def _plain_index(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis([str(c) for c in frame.columns], axis=1).reset_index(drop=True)
