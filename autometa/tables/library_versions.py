"""Versions of the libraries that a result hangs on."""

from __future__ import annotations

import contextlib
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "optuna", "scikit-learn", "pandas", "numpy", "lightgbm", "catboost", "xgboost-cpu")


def library_versions() -> dict[str, str]:
    """By name, those that are installed."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
