"""Noise that is a function: the same for the same config, whatever else is evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hashed_noise(units: NDArray[np.float64], keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """A standard normal number for each of S functions and C configs, shape (S, C).

    The bits are mixed as by Steele et al. 2014, "Fast splittable pseudorandom number generators".

    Args:
        units: configs in the unit cube, shape (C, d); NaN where a hyperparameter is not active.
        keys: one for each function, shape (S,).
    """
    state = np.zeros(len(units), np.uint64)
    for bits in np.where(np.isnan(units), -1.0, units).T.copy().view(np.uint64):
        state = _mixed(state ^ bits)
    mixed = _mixed(state ^ keys[:, None])
    return np.asarray(ndtri(((mixed >> np.uint64(12)) + 0.5) / 2.0**52))


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))
