"""Prior tasks that mislead: what a policy that trusts them has to survive."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from autometa.records.prior_tasks import PriorTasks

    Change = Callable[[PriorTasks, NDArray[np.float64], np.random.Generator], PriorTasks]

NEAR = 0.02  # noise of the near-copy, in standard deviations of the task's losses


def inverted(prior: PriorTasks, target: NDArray[np.float64], rng: np.random.Generator) -> PriorTasks:
    """What was best is worst."""
    del target, rng
    finite = np.where(np.isfinite(prior.losses), prior.losses, np.nan)
    low, high = np.nanmin(finite, axis=1, keepdims=True), np.nanmax(finite, axis=1, keepdims=True)
    return replace(prior, losses=np.where(np.isinf(prior.losses), low, low + high - prior.losses))


def shuffled(prior: PriorTasks, target: NDArray[np.float64], rng: np.random.Generator) -> PriorTasks:
    """The losses of each config are dealt anew to the tasks: no two losses of a task have to do with each other."""
    del target
    return replace(prior, losses=rng.permuted(prior.losses, axis=0))


def other_family(prior: PriorTasks, target: NDArray[np.float64], rng: np.random.Generator) -> PriorTasks:
    """Each config has the losses of one of another branch; without branches, those of any other config."""
    del target
    pool = prior.pool
    root = next((p.name for p in pool.space if any(q.when and q.when[0] == p.name for q in pool.space)), None)
    branch = np.array([str(c.get(root, "")) if root else "" for c in pool])
    names = np.unique(branch)
    places = np.arange(len(pool))
    for name in names:
        own = branch == name
        others = np.flatnonzero(~own) if len(names) > 1 else places
        places[own] = rng.choice(others, int(own.sum()))
    return replace(prior, losses=prior.losses[:, places])


def rescaled(prior: PriorTasks, target: NDArray[np.float64], rng: np.random.Generator) -> PriorTasks:
    """Each task in units of its own."""
    del target
    scales = np.exp(rng.normal(0.0, 3.0, (len(prior), 1)))
    return replace(prior, losses=scales * prior.losses + rng.normal(0.0, 10.0, (len(prior), 1)))


def re_ranged(prior: PriorTasks, target: NDArray[np.float64], rng: np.random.Generator) -> PriorTasks:
    """Each task has seen one half of one hyperparameter's range only."""
    del target
    losses = prior.losses.copy()
    units = prior.pool.units
    varied = [d for d in range(units.shape[1]) if len(np.unique(units[~np.isnan(units[:, d]), d])) > 1]
    for row in losses:
        unit = units[:, rng.choice(varied)]
        outside = (unit > 0.5) if rng.random() < 0.5 else (unit < 0.5)
        if np.isfinite(row[~outside]).sum() > 1:
            row[outside] = np.nan
    return replace(prior, losses=losses)


def near_copy(prior: PriorTasks, target: NDArray[np.float64], rng: np.random.Generator) -> PriorTasks:
    """One task is almost the new one, all others are noise.

    Args:
        prior: on the pool of the target.
        target: its losses, shape (C,).
        rng: of the noise.
    """
    losses = rng.permuted(prior.losses, axis=1)
    finite = target[np.isfinite(target)]
    losses[0] = np.where(np.isfinite(target), target, finite.max()) + rng.normal(0.0, NEAR * finite.std(), len(target))
    return replace(prior, losses=losses)


STRESSES: Mapping[str, Change] = {
    "inverted": inverted,
    "shuffled": shuffled,
    "other_family": other_family,
    "rescaled": rescaled,
    "re_ranged": re_ranged,
    "near_copy": near_copy,
}
