"""Seeds: one of the user's own, or one that is drawn."""

from __future__ import annotations

import numpy as np

from autometa.errors import InputError

SEEDS = 2**32


def chosen_seed(seed: int | None) -> int:
    """The seed itself, or one that is drawn where it is None.

    Raises:
        InputError: it is not in the range of seeds.
    """
    if seed is None:
        return int(np.random.default_rng().integers(SEEDS))
    if not 0 <= seed < SEEDS:
        raise InputError(f"the seed must be a whole number in [0, 2**32); got {seed}: use one, or None")
    return int(seed)
