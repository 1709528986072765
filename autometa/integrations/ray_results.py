"""What results of Ray Tune's say, whatever trials put into them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

Result: TypeAlias = Mapping[str, Any]

ANONYMOUS = "_metric"  # what Ray calls a metric that is reported without a name


def number_in(result: Result, metric: str) -> float:
    """What a result says of a metric; NaN where it says nothing that is a number."""
    try:
        return float(result[metric])
    except (KeyError, TypeError, ValueError):
        return math.nan


def step_of(result: Result) -> int | None:
    """How many results a trial has reported, this one included; None where Ray has not counted."""
    step = result.get("training_iteration")
    return step if isinstance(step, int) else None


def config_in(result: Result) -> dict[str, Any]:
    """The config that Ray adds to a result, whose dicts it makes one of paths."""
    found: dict[str, Any] = {}
    for path, value in result.items():
        head, *keys = path.split("/")
        if head == "config" and keys:
            inner = found
            for k in keys[:-1]:
                inner = inner.setdefault(k, {})
            inner[keys[-1]] = value
    return found
