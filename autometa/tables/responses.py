"""How a learner's outputs relate to the table's target: present classes, or centre, scale and range."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.tables.state import State
from autometa.tables.table import Kind

# A regression may predict this share of the training range beyond its ends, and no more.
MARGIN = 0.1


@dataclass(frozen=True)
class Responses:
    """The target as learners see it: classes 0 to k-1 that are all there, or values of mean 0 and deviation 1.

    Attributes:
        outputs: columns of a prediction.
        classes: the k of them that the training rows have, empty for regression.
        centre: subtracted from the values.
        scale: divides the values.
        low: least prediction.
        high: greatest prediction.
    """

    outputs: int
    classes: tuple[int, ...] = ()
    centre: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0

    @classmethod
    def fit(cls, target: NDArray[Any], outputs: int, weights: NDArray[np.float64] | None) -> Responses:
        """From the training rows' target: int64 codes or float64 values."""
        if target.dtype.kind == "i":
            return cls(outputs, tuple(int(code) for code in np.unique(target)))
        if weights is not None and not weights.sum() > 0:
            weights = None
        low, high = float(target.min()), float(target.max())
        centre = float(np.average(target, weights=weights))
        scale = float(np.sqrt(np.average((target - centre) ** 2, weights=weights)))
        margin = MARGIN * (high - low)
        if not (np.isfinite(scale) and scale > 0):
            scale = 1.0
        return cls(1, (), centre, scale, low - margin, high + margin)

    @property
    def kind(self) -> Kind:
        """The kind of task that the learner sees."""
        if not self.classes:
            return "regression"
        return "binary" if len(self.classes) == 2 else "multiclass"

    @property
    def width(self) -> int:
        """Columns of what the learner predicts."""
        return max(1, len(self.classes))

    @property
    def constant(self) -> bool:
        """Whether the training rows all have one target."""
        return len(self.classes) == 1 if self.classes else self.low == self.high

    def encode(self, target: NDArray[Any]) -> NDArray[Any]:
        """Target as the learner sees it; -1 for a class that the training rows lack."""
        if not self.classes:
            return np.asarray((target - self.centre) / self.scale)
        codes = np.full(max(self.outputs, self.classes[-1] + 1), -1, np.int64)
        codes[list(self.classes)] = np.arange(len(self.classes))
        return np.asarray(codes[target])

    def decode(self, found: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predictions of the table's target, shape (n, outputs), from the learner's (n, width)."""
        if not self.classes:
            values = found.astype(np.float64) * self.scale + self.centre
            return np.clip(values, self.low, self.high).astype(np.float32)
        if len(self.classes) == self.outputs:
            return found
        shares = np.zeros((len(found), self.outputs), np.float32)
        shares[:, list(self.classes)] = found
        return shares

    def state(self) -> State:
        """What to save."""
        return State(
            {
                "outputs": self.outputs,
                "classes": self.classes,
                "centre": self.centre,
                "scale": self.scale,
                "low": self.low,
                "high": self.high,
            }
        )

    @classmethod
    def from_state(cls, state: State) -> Responses:
        """What :meth:`state` described.

        Raises:
            ModelError: it does not fit together.
        """
        settings = state.settings
        numbers = {name: float(settings[name]) for name in ("centre", "scale", "low", "high")}
        outputs, classes = int(settings["outputs"]), tuple(int(code) for code in settings["classes"])
        rising = all(a < b for a, b in pairwise(classes))
        if outputs < 1 or not rising or (classes and (classes[0] < 0 or classes[-1] >= outputs)):
            raise ModelError("the classes of the saved model do not fit together; save it again")
        if not np.isfinite(list(numbers.values())).all() or numbers["scale"] <= 0:
            raise ModelError("the target scale of the saved model is not finite; save it again")
        return cls(outputs, classes, **numbers)
