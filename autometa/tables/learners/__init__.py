"""Learners, one library to a file; a library is imported when its learner is asked for, not before."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from autometa.errors import InputError, ModelError
from autometa.tables.learners.contract import Fitted, Job, Learner
from autometa.tables.state import State

_MODULES = {
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "xgboost": "xgboost",
    "extra_trees": "forests",
    "random_forest": "forests",
    "linear": "linear",
    "nearest_neighbours": "neighbours",
    "network": "network",
    "tabm": "network",
    "constant": "constant",
}


def _module(algorithm: object) -> ModuleType | None:
    name = _MODULES.get(algorithm) if isinstance(algorithm, str) else None
    return import_module(f"{__name__}.{name}") if name else None


def fit_learner(job: Job, *, algorithm: str | None = None) -> Fitted:
    """Fit the learner that the config names, or the given one.

    Raises:
        InputError: there is no such algorithm.
        MissingExtraError: its library is not installed.
    """
    name = algorithm or job.config.get("algorithm")
    module = _module(name)
    if module is None:
        raise InputError(f"the algorithm must be one of {', '.join(_MODULES)}; got {name!r}")
    return module.fit(job)  # type: ignore[no-any-return]


def restore_learner(algorithm: object, state: State) -> Learner:
    """A learner from what its ``state()`` gave.

    Raises:
        ModelError: there is no such algorithm, or the state does not fit together.
        MissingExtraError: its library is not installed.
    """
    module = _module(algorithm)
    if module is None:
        raise ModelError(f"the saved model names the learner {algorithm!r}, which this version does not have")
    return module.restore(state)  # type: ignore[no-any-return]
