"""autometa: AutoML for tables. A table in; a fitted ensemble, a leaderboard and a report out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autometa.integrations.optuna import MetaSampler
    from autometa.integrations.ray import ray_searcher
    from autometa.integrations.studies import task_of
    from autometa.integrations.warm_start import warm_start
    from autometa.parameters import Categorical, Float, Int
    from autometa.records.collection import Collection
    from autometa.search.api import SearchResult, load, search
    from autometa.search.estimators import AutoMetaClassifier, AutoMetaRegressor
    from autometa.space import Space
    from autometa.task import Policy, Task, Trial

__version__ = "0.1.0"

__all__ = [
    "AutoMetaClassifier",
    "AutoMetaRegressor",
    "Categorical",
    "Collection",
    "Float",
    "Int",
    "MetaSampler",
    "Policy",
    "SearchResult",
    "Space",
    "Task",
    "Trial",
    "load",
    "ray_searcher",
    "search",
    "task_of",
    "warm_start",
]

# Resolved on first use, so that `import autometa` brings in no heavy library.
_HOMES = {
    "AutoMetaClassifier": "autometa.search.estimators",
    "AutoMetaRegressor": "autometa.search.estimators",
    "Categorical": "autometa.parameters",
    "Collection": "autometa.records.collection",
    "Float": "autometa.parameters",
    "Int": "autometa.parameters",
    "MetaSampler": "autometa.integrations.optuna",
    "Policy": "autometa.task",
    "SearchResult": "autometa.search.api",
    "Space": "autometa.space",
    "Task": "autometa.task",
    "Trial": "autometa.task",
    "load": "autometa.search.api",
    "ray_searcher": "autometa.integrations.ray",
    "task_of": "autometa.integrations.studies",
    "warm_start": "autometa.integrations.warm_start",
}


def __getattr__(name: str) -> Any:
    if name == "search":
        return import_module("autometa.search")
    if name not in _HOMES:
        raise AttributeError(f"module 'autometa' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
