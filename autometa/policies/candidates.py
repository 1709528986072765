"""Choosing from a finite pool of configs, as replay does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autometa.space import Config
    from autometa.task import Task


def key(config: Config) -> tuple[tuple[str, str], ...]:
    """Something equal for equal configs and hashable."""
    return tuple(sorted((name, repr(value)) for name, value in config.items()))


def untried(task: Task, candidates: Sequence[Config]) -> list[Config]:
    """The candidates that are not in the task's history, in their order."""
    tried = {key(t.config) for t in task.history}
    return [c for c in candidates if key(c) not in tried]


def nearest(task: Task, wanted: Config, candidates: Sequence[Config]) -> Config:
    """The candidate closest to a config in the unit cube, one of the same branch if there is one.

    Args:
        task: gives the space.
        wanted: a config of the space, not necessarily a candidate.
        candidates: at least one config.
    """
    place = task.space.to_unit(wanted)
    active = ~np.isnan(place)
    places = np.array([task.space.to_unit(c) for c in candidates])
    same_branch = (np.isnan(places) == np.isnan(place)).all(axis=1)
    gaps = np.nan_to_num(places[:, active] - place[active], nan=1.0)
    distance = (gaps**2).sum(axis=1) + np.where(same_branch, 0.0, len(place))
    return candidates[int(np.argmin(distance))]
