"""The learned policy: a mixture of experts looks through candidates, drawn where none are given, and fills batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.candidates import Observed, representative
from autometa.policies.drawn_pool import draw_base, draw_pool
from autometa.policies.experts import CROWD, Experts, Parts
from autometa.policies.mixture import Mixture
from autometa.policies.past_tasks import PastTasks
from autometa.policies.portfolio import SHARE
from autometa.pool import Pool
from autometa.records.prior_tasks import PriorTasks
from autometa.space import key
from autometa.task import Task, Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autometa.policies.learned_process import LearnedProcess
    from autometa.space import Config, Space

BASE, NEIGHBOURS = 768, 256  # candidates where none are given: known and random ones, and those near the best
DEARER = 32  # configs that are looked through for one that is not too dear
MOST = 300  # trials that are reckoned with
ROUND = 128  # proposals at most that are chosen from one pool
KEPT, KEPT_EACH = 256, 8  # candidates that a batch is chosen from: so many, and so many for each of its configs
ALIKE = 1e-3  # gain over prior tasks, as a share of a lower mean loss, from which on it decides


class LearnedPolicy:
    """A soft mixture of experts, safe against prior tasks that mislead.

    Each expert scores the candidates by expected improvement; the scores are divided by their largest and summed.
    What knows prior tasks shares what the cold expert leaves. Its share is the probability that the trials, each
    foretold from the others, are its own rather than those of the prior tasks. Pending trials count with the losses
    that are expected of them.

    Args:
        past: what to learn from: finished tasks of any spaces, recorded ones on shared configs, or both.
        process: meta-trained; None to do without.
        parts: what to leave out.
    """

    def __init__(
        self,
        past: Sequence[Task] | PriorTasks | PastTasks = (),
        *,
        process: LearnedProcess | None = None,
        parts: Parts | None = None,
    ) -> None:
        match past:
            case PastTasks():
                known = past
            case PriorTasks():
                known = PastTasks(past)
            case _:
                known = PastTasks.of(past)
        self._experts = Experts(known, process, parts or Parts())
        self._base: tuple[Space, list[int], Pool] | None = None

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The next n configs; see :class:`autometa.task.Policy`."""
        pool = None if candidates is None else Pool.of(task.space, candidates)
        proposals: list[Config] = []
        while len(proposals) < n:
            here = pool if pool is not None else self._drawn(task, seed)
            batch = self._batch(here, task, min(n - len(proposals), ROUND), seed, drawn=pool is None)
            proposals += batch
            task = task.observe(*map(Trial, batch))
        return proposals

    def trust(self, task: Task) -> dict[str, float]:
        """What each past task counts for, given the trials, by name; together the share that the past has."""
        return self._experts.trust(task)

    def _drawn(self, task: Task, seed: int) -> Pool:
        """Candidates for a space that has no pool of its own.

        Their base stays until the history has doubled. A crowd of trials under way would soon have tried the best of
        it: then it is drawn anew with every further crowd, with others of the known configs.
        """
        count = len(task.history)
        crowded = len(task.pending) >= CROWD
        drawn = [seed, count.bit_length(), *([count // CROWD] if crowded else [])]
        if self._base is None or self._base[:2] != (task.space, drawn):
            known = self._experts.past.configs(task.space)
            if crowded:
                tried = {t.key for t in task.history}
                known = [c for c in known if key(c) not in tried]
            self._base = (task.space, drawn, draw_base(task.space, known, count=BASE, seed=drawn))
        return draw_pool(task, self._base[2], neighbours=NEIGHBOURS, most=MOST, seed=seed)

    def _batch(self, pool: Pool, task: Task, n: int, seed: int, *, drawn: bool) -> list[Config]:
        """The next n configs of a pool, be it given or drawn, each reckoning with those before it."""
        observed = Observed.of(task, pool)
        mixture = self._experts.mixture(pool, task, _fewer(observed))
        if mixture is None:
            places = self._first(pool, task, observed, n, seed)
        else:
            left = observed.left(pool)
            if drawn:
                left = _news(pool, observed, left) or left
            kept = _descending(mixture.score(), left)[: max(KEPT, KEPT_EACH * n)]
            places = _grown(mixture, pool, task, kept, n)
        while len(places) < n:  # a small space is used up
            rng = np.random.default_rng([seed, len(task.history) + len(places)])
            places.append(int(rng.integers(len(pool))))
        return [pool[place] for place in places]

    def _first(self, pool: Pool, task: Task, observed: Observed, n: int, seed: int) -> list[int]:
        """Before any loss: what prior tasks, or else the process, say is best beside what is under way."""
        prior, _ = self._experts.prior(pool)
        taken, places = set(observed.taken), list[int]()
        for i in range(min(n, len(pool) - len(taken))):
            if len(prior):
                scaled = prior.scaled("min_max")
                best = scaled[:, list(taken)].min(axis=1, initial=np.inf)
                score = -np.minimum(scaled, best[:, None]).mean(axis=0) - ALIKE * scaled.mean(axis=0)
            elif self._experts.process is not None and not taken:
                score = -self._experts.process.belief(pool, observed.places, observed.losses, task.features, None).mean
            else:
                score = np.random.default_rng([seed, len(task.history) + i]).random(len(pool))
            left = [place for place in range(len(pool)) if place not in taken]
            places.append(_affordable(pool, _descending(score, left), task))
            taken.add(places[-1])
        return places


def _news(pool: Pool, observed: Observed, left: Sequence[int]) -> list[int]:
    """Places whose configs can be told from all that are tried.

    Whoever is sure of a wrong belief would ask for one and the same place, in its last digits new, again and again.
    """
    tried = {pool.cells[place] for place in observed.taken}
    return [place for place in left if pool.cells[place] not in tried]


def _grown(mixture: Mixture, pool: Pool, task: Task, kept: NDArray[np.intp], n: int) -> list[int]:
    """The places of n configs, or of all that are kept, best first."""
    places = [_affordable(pool, kept, task)] if len(kept) else []
    if n == 1 or not places:
        return places
    growing = mixture.growing(kept, n - 1)
    free = np.ones(len(kept), bool)
    while len(places) < min(n, len(kept)):
        last = int(np.flatnonzero(kept == places[-1])[0])
        free[last] = False
        growing.take(last)
        order = _descending(growing.score(), np.flatnonzero(free))
        places.append(_affordable(pool, kept[order], task))
    return places


def _descending(score: NDArray[np.float64], places: Sequence[int] | NDArray[np.intp]) -> NDArray[np.intp]:
    """Places by their score, the highest first, the first of equals."""
    among = np.asarray(places, np.intp)
    return among[np.argsort(-score[among], kind="stable")]


def _affordable(pool: Pool, ordered: Sequence[int] | NDArray[np.intp], task: Task) -> int:
    """The place of the best config that takes at most its share of the time left; the cheapest where none does."""
    if task.costs is None:
        return int(ordered[0])
    spent = [t.seconds for t in task.done if np.isfinite(t.seconds)]
    seconds = [task.costs.seconds(pool[int(place)]) for place in ordered[:DEARER]]
    allowed = SHARE * (task.costs.limit - sum(spent))
    return int(ordered[next((i for i, took in enumerate(seconds) if took <= allowed), int(np.argmin(seconds)))])


def _fewer(observed: Observed) -> Observed:
    """At most MOST of the trials."""
    chosen = np.array(representative(observed.losses, MOST), np.intp)
    return replace(observed, places=observed.places[chosen], losses=observed.losses[chosen])
