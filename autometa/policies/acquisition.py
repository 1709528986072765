"""What a config may be worth: expected improvement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray


def expected_improvement(
    mean: NDArray[np.float64], sd: NDArray[np.float64], best: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """E max(best - f, 0) for f normal (Mockus 1975; Jones, Schonlau and Welch 1998).

    Args:
        mean: of the loss, any shape.
        sd: above 0, of the same shape.
        best: loss to improve on.
    """
    z = (best - mean) / sd
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return np.asarray(sd * (z * ndtr(z) + density))
