"""The learned policy: what prior tasks teach, in several forms, and what the trials say by themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from autometa.policies.candidates import Observed, representative
from autometa.policies.drawn_pool import draw_base, draw_pool
from autometa.policies.gaussian import LossScale
from autometa.policies.mixture import Mixture
from autometa.policies.own_process import FEWEST, own_belief, tamed
from autometa.policies.past_tasks import PastTasks
from autometa.policies.portfolio import SHARE
from autometa.policies.shared_belief import shared_beliefs
from autometa.policies.source_copies import agreement
from autometa.pool import Pool, key
from autometa.records.prior_tasks import PriorTasks
from autometa.task import Task, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from autometa.policies.gaussian import Fit
    from autometa.policies.learned_process import LearnedProcess
    from autometa.space import Config, Space

BASE, NEIGHBOURS = 768, 256  # candidates where none are given: known and random ones, and those near the best
TOLD = 3  # prior tasks from which on they tell the scale of raw losses
DEARER = 32  # configs that are looked through for one that is not too dear
DOUBTS = (1.0, 4.0, 16.0)  # factors on what prior tasks have not shown; the trials choose one
FINEST = 0.01  # noise of the cold expert relative to its signal, where it is held against the past
MOST_TOLD = 2.0  # by one trial for or against the past, in log density: no single surprise decides
START = 5  # trials at random where nothing is known
MOST = 300  # trials that are reckoned with
ROUND = 128  # proposals at most that are chosen from one pool
CROWD = 64  # trials under way from which on the base of a pool is soon used up
WAITING = 128  # trials under way that are reckoned with
KEPT, KEPT_EACH = 256, 8  # candidates that a batch is chosen from: so many, and so many for each of its configs
ALIKE = 1e-3  # gain over prior tasks, as a share of a lower mean loss, from which on it decides


@dataclass(frozen=True)
class Parts:
    """What the policy is made of; each part can be left out.

    Attributes:
        process: the meta-trained process.
        copies: expected improvement under the prior tasks themselves.
        shared: the prior tasks' mean and covariance.
        cold: the process of the task's own trials.
        least_cold: its share where the prior tasks foretell well.
        doubt: log odds that the cold expert is right, before any trial.
    """

    process: bool = True
    copies: bool = True
    shared: bool = True
    cold: bool = True
    least_cold: float = 0.02
    doubt: float = -10.0


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
                self._past = past
            case PriorTasks():
                self._past = PastTasks(past)
            case _:
                self._past = PastTasks.of(past)
        self._parts = parts or Parts()
        self._process = process if self._parts.process else None
        self._known: tuple[Pool, PriorTasks, LossScale | None] | None = None
        self._base: tuple[Space, list[int], Pool] | None = None

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The next n configs; see :class:`autometa.task.Policy`."""
        pool = None if candidates is None else Pool.of(task.space, candidates)
        proposals: list[Config] = []
        while len(proposals) < n:
            here = pool if pool is not None else self._drawn(task, seed)
            batch = self._batch(here, task, min(n - len(proposals), ROUND), seed)
            proposals += batch
            task = task.observe(*map(Trial, batch))
        return proposals

    def trust(self, task: Task) -> dict[str, float]:
        """What each past task counts for, given the trials, by name; together the share that the past has."""
        pool = Pool(task.space, list({id(t): t.config for t in task.history}.values()))
        observed = Observed.of(task, pool)
        if not len(observed.places):
            return _by_name(self._past.names, np.full(len(self._past), 1.0 / max(len(self._past), 1)))
        prior, scale = self._prior(pool)
        if not len(prior):
            return {}
        told = self._told(pool, prior, scale, observed, task.features)
        share = 1.0 - self._cold_share(told, self._cold(pool, observed))
        return _by_name(prior.names, share * agreement(prior, observed, scale or LossScale.vague(observed.losses)))

    def _drawn(self, task: Task, seed: int) -> Pool:
        """Candidates for a space that has no pool of its own.

        Their base stays until the history has doubled. A crowd of trials under way would soon have tried the best of
        it: then it is drawn anew with every further crowd, with others of the known configs.
        """
        count = len(task.history)
        crowded = len(task.pending) >= CROWD
        drawn = [seed, count.bit_length(), *([count // CROWD] if crowded else [])]
        if self._base is None or self._base[:2] != (task.space, drawn):
            known = self._past.configs(task.space)
            if crowded:
                tried = {key(t.config) for t in task.history}
                known = [c for c in known if key(c) not in tried]
            self._base = (task.space, drawn, draw_base(task.space, known, count=BASE, seed=drawn))
        return draw_pool(task, self._base[2], neighbours=NEIGHBOURS, most=MOST, seed=seed)

    def _batch(self, pool: Pool, task: Task, n: int, seed: int) -> list[Config]:
        """The next n configs of a pool, each reckoning with those before it."""
        observed = Observed.of(task, pool)
        mixture = self._mixture(pool, task, _fewer(observed))
        if mixture is None:
            places = self._first(pool, task, observed, n, seed)
        else:
            kept = _descending(mixture.score(), observed.left(pool))[: max(KEPT, KEPT_EACH * n)]
            places = _grown(mixture, pool, task, kept, n)
        while len(places) < n:  # a small space is used up
            rng = np.random.default_rng([seed, len(task.history) + len(places)])
            places.append(int(rng.integers(len(pool))))
        return [pool[place] for place in places]

    def _mixture(self, pool: Pool, task: Task, observed: Observed) -> Mixture | None:
        """What decides; None before any loss, or where nothing is known and the trials are too few."""
        prior, scale = self._prior(pool)
        knows = len(prior) > 0 or self._process is not None
        if len(observed.places) < (1 if knows else START):
            return None
        told = self._told(pool, prior, scale, observed, task.features)
        cold = self._cold(pool, observed)
        share = self._cold_share(told, cold)
        foretold = _best(told).posterior
        expected = foretold.shift + foretold.scale * foretold.mean
        observed = _with_pending(expected, pool, task, observed)
        copies = (prior, scale or LossScale.vague(observed.losses)) if self._parts.copies and len(prior) else None
        told = [_again(fit, observed.places, observed.losses) for fit in told]
        if cold is not None:
            losses = tamed(observed.losses)
            if len(observed.places) - len(cold.places) >= CROWD:  # of so many guesses no lengths are to be learned
                cold = cold.belief.fit(observed.places, losses)
            elif not np.array_equal(losses, cold.losses):
                cold = own_belief(pool, observed.places, losses).fit(observed.places, losses)
        return Mixture(observed, expected, told, copies, cold, share)

    def _prior(self, pool: Pool) -> tuple[PriorTasks, LossScale | None]:
        """The past on a pool, and the scale of its losses where it tells."""
        if self._known is None or self._known[0] is not pool:
            prior = self._past.on(pool)
            scale = LossScale.fit(prior.scaled("min_max"), prior.losses) if len(prior) >= TOLD else None
            self._known = (pool, prior, scale)
        return self._known[1:]

    def _told(
        self,
        pool: Pool,
        prior: PriorTasks,
        scale: LossScale | None,
        observed: Observed,
        features: Mapping[str, float | str],
    ) -> list[Fit]:
        """What the past says of the trials, in each form that it has; the trials themselves where it has none."""
        places, losses = observed.places, observed.losses
        told: list[Fit] = []
        if self._process is not None:
            told.append(self._process.belief(pool, places, losses, features, scale).fit(places, losses))
        if len(prior) and (self._parts.shared or not told):
            known = scale or LossScale.vague(losses)
            tried = DOUBTS if len(places) >= FEWEST else DOUBTS[:1]
            told.append(_best([belief.fit(places, losses) for belief in shared_beliefs(prior, known, tried)]))
        return told or [own_belief(pool, places, tamed(losses)).fit(places, losses)]

    def _cold(self, pool: Pool, observed: Observed) -> Fit | None:
        """What the trials say by themselves; None where they are too few."""
        if not self._parts.cold or len(observed.places) < FEWEST:
            return None
        return own_belief(pool, observed.places, observed.losses).fit(observed.places, observed.losses)

    def _cold_share(self, told: Sequence[Fit], cold: Fit | None) -> float:
        """In [0, 1]: how far to trust the trials alone."""
        if cold is None:
            return 0.0
        # What is told apart more finely than the past can be is no evidence against it.
        if cold.belief.noise < FINEST:
            cold = replace(cold.belief, noise=FINEST).fit(cold.places, cold.losses)
        apart = float(np.clip(cold.left_out - _best(told).left_out, -MOST_TOLD, MOST_TOLD).sum())
        least = self._parts.least_cold
        return least + (1.0 - least) * float(expit(self._parts.doubt + apart))

    def _first(self, pool: Pool, task: Task, observed: Observed, n: int, seed: int) -> list[int]:
        """Before any loss: what prior tasks, or else the process, say is best beside what is under way."""
        prior, _ = self._prior(pool)
        taken, places = set(observed.taken), list[int]()
        for i in range(min(n, len(pool) - len(taken))):
            if len(prior):
                scaled = prior.scaled("min_max")
                best = scaled[:, list(taken)].min(axis=1, initial=np.inf)
                score = -np.minimum(scaled, best[:, None]).mean(axis=0) - ALIKE * scaled.mean(axis=0)
            elif self._process is not None and not taken:
                score = -self._process.belief(pool, observed.places, observed.losses, task.features, None).mean
            else:
                score = np.random.default_rng([seed, len(task.history) + i]).random(len(pool))
            left = [place for place in range(len(pool)) if place not in taken]
            places.append(_affordable(pool, _descending(score, left), task))
            taken.add(places[-1])
        return places


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


def _by_name(names: Sequence[str], shares: NDArray[np.float64]) -> dict[str, float]:
    """Tasks of one name count together."""
    found = dict.fromkeys(names, 0.0)
    for name, share in zip(names, shares.tolist(), strict=True):
        found[name] += share
    return found


def _best(told: Sequence[Fit]) -> Fit:
    """The one that foretells each trial best from the others."""
    return max(told, key=lambda fit: float(fit.left_out.sum()) if len(fit.places) > 1 else 0.0)


def _again(fit: Fit, places: NDArray[np.intp], losses: NDArray[np.float64]) -> Fit:
    """The belief fitted to these trials, which may be the ones it is fitted to."""
    return fit if len(places) == len(fit.places) else fit.belief.fit(places, losses)


def _with_pending(expected: NDArray[np.float64], pool: Pool, task: Task, observed: Observed) -> Observed:
    """The trials with those under way, whose losses are taken to be what is expected of them (a kriging believer).

    Of very many the most promising count: about the others nothing is looked for anyway.
    """
    places = {place for t in task.pending if (place := pool.place(t.config)) is not None}
    waiting = np.array(sorted(places - set(observed.places.tolist())), np.intp)
    if not len(waiting):
        return observed
    if len(waiting) > WAITING:
        waiting = np.sort(waiting[np.argsort(expected[waiting], kind="stable")[:WAITING]])
    return replace(
        observed,
        places=np.concatenate([observed.places, waiting]),
        losses=np.concatenate([observed.losses, expected[waiting]]),
    )


def _fewer(observed: Observed) -> Observed:
    """At most MOST of the trials."""
    chosen = np.array(representative(observed.losses, MOST), np.intp)
    return replace(observed, places=observed.places[chosen], losses=observed.losses[chosen])
