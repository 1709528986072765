"""How the report writes numbers, times and names."""

from __future__ import annotations

import math
from typing import Any

_METRICS = {
    "auc": (
        "AUC",
        "how often a row of one class is ranked above a row of another: 0.5 is guessing, 1 is perfect",
    ),
    "log_loss": (
        "log-loss",
        "how surprised the model is by the true class: lower is better, 0 is perfect",
    ),
    "accuracy": ("accuracy", "share of rows whose class is predicted rightly"),
    "balanced_accuracy": (
        "balanced accuracy",
        "share of rows predicted rightly, each class counting the same",
    ),
    "f1": ("F1", "balance of finding a class's rows and not naming others: 1 is perfect"),
    "brier": ("Brier score", "squared error of the probabilities: lower is better, 0 is perfect"),
    "rmse": ("RMSE", "root of the mean squared error, in the target's unit: lower is better"),
    "mae": ("MAE", "mean absolute error, in the target's unit: lower is better"),
    "r2": ("R²", "share of the target's variance that is explained: 1 is perfect"),
    "mape": ("MAPE", "mean error relative to the true value: lower is better"),
    "rmsle": ("RMSLE", "error of the logarithm, so of ratios: lower is better"),
}
# Values of metrics that a perfect model has.
_PERFECT = {
    "auc": 1.0,
    "log_loss": 0.0,
    "accuracy": 1.0,
    "balanced_accuracy": 1.0,
    "f1": 1.0,
    "brier": 0.0,
    "rmse": 0.0,
    "mae": 0.0,
    "r2": 1.0,
    "mape": 0.0,
    "rmsle": 0.0,
}


def metric_title(name: str) -> str:
    """A metric's name as people write it."""
    return _METRICS[name][0] if name in _METRICS else name


def metric_meaning(name: str, *, greater_is_better: bool) -> str:
    """What a metric says, in one line."""
    if name in _METRICS:
        return _METRICS[name][1]
    return "higher is better" if greater_is_better else "lower is better"


def perfect(name: str) -> float | None:
    """The score of a perfect model, where it is known."""
    return _PERFECT.get(name)


def finite(value: Any) -> float | None:
    """The value as a finite number, else None."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def score(value: Any) -> str:
    """A score: four decimals where small, none where large."""
    number = finite(value)
    if number is None:
        return "–"
    if number != 0 and not 1e-4 <= abs(number) < 1e9:
        return _minus(f"{number:.3g}")
    return _minus(f"{number:,.{_decimals(number)}f}")


def spread(value: float, of: float) -> str:
    """The uncertainty of a score, with as many decimals as the score."""
    if value >= 1e9 or (_decimals(of) == 4 and value < 1e-4):
        return f"{value:.1g}"
    return f"{value:,.{_decimals(of)}f}"


def _decimals(score: float) -> int:
    size = abs(score)
    return 4 if size < 10 else 2 if size < 1_000 else 0


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals; without any where it is huge or tiny."""
    if value and not 1e-6 < abs(value) < 1e9:
        return _minus(f"{value:.3g}")
    return _minus(f"{round(value, decimals) + 0.0:,.{decimals}f}")


def number(value: Any) -> str:
    """A value of the data: about four digits, as short as it gets."""
    x = finite(value)
    if x is None:
        return "–"
    size = abs(x)
    if x == int(x) and size < 1e7:
        return _minus(f"{int(x):,}")
    if size >= 1e7 or size < 1e-3:
        return _minus(f"{x:.3g}")
    decimals = max(0, 3 - math.floor(math.log10(size)))
    text = f"{x:,.{decimals}f}"
    return _minus(text.rstrip("0").rstrip(".") if "." in text else text)


def value(of: Any) -> str:
    """A value of the data, which may be text already, such as a day."""
    return of if isinstance(of, str) else number(of)


def count(value: Any) -> str:
    """A whole number with separators."""
    x = finite(value)
    return "–" if x is None else f"{round(x):,}"


def percent(value: Any) -> str:
    """A share as a percentage; shares near 0 and 1 are not rounded away."""
    x = finite(value)
    if x is None:
        return "–"
    if 0 < x < 0.01:
        return f"{x * 100:.1f}%" if x >= 0.001 else "<0.1%"
    if 0.99 < x < 1:
        return f"{x * 100:.1f}%" if x <= 0.999 else ">99.9%"
    return f"{x * 100:.0f}%"


def duration(seconds: Any) -> str:
    """A time such as "4.2 s", "38 s", "2 min 4 s" or "1 h 5 min"."""
    x = finite(seconds)
    if x is None:
        return "–"
    if x < 9.95:
        return f"{x:.1f} s"
    whole = round(x)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(x / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size(value: Any) -> str:
    """Bytes such as "4 GB"."""
    x = finite(value)
    if x is None:
        return "–"
    for unit, scale in (("GB", 2**30), ("MB", 2**20)):
        if x >= scale:
            return f"{x / scale:.3g} {unit}"
    return f"{x:,.0f} bytes"


def plural(many: int, one: str, *, more: str = "") -> str:
    """A count with its noun: "1 trial", "12 trials"."""
    return f"{many:,} {one if many == 1 else more or one + 's'}"


def spaced(name: Any) -> str:
    """A name for reading: underscores become spaces."""
    return str(name).replace("_", " ")


def _minus(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text
