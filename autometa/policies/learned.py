"""The learned policy: what prior tasks teach, in several forms, and what the trials say by themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from autometa.policies.candidates import Observed, representative
from autometa.policies.drawn_pool import draw_base, draw_pool
from autometa.policies.gaussian import LossScale
from autometa.policies.mixture import Believer, Copyist, Expert, Mixture
from autometa.policies.own_process import FEWEST, own_belief, tamed
from autometa.policies.past_tasks import PastTasks
from autometa.policies.portfolio import SHARE
from autometa.policies.shared_belief import shared_beliefs
from autometa.policies.source_copies import agreement
from autometa.pool import Pool
from autometa.records.prior_tasks import PriorTasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from autometa.policies.gaussian import Fit
    from autometa.policies.learned_process import LearnedProcess
    from autometa.space import Config, Space
    from autometa.task import Task

BASE, NEIGHBOURS = 768, 256  # candidates where none are given: known and random ones, and those near the best
TOLD = 3  # prior tasks from which on they tell the scale of raw losses
DEARER = 32  # configs that are looked through for one that is not too dear
DOUBTS = (1.0, 4.0, 16.0)  # factors on what prior tasks have not shown; the trials choose one
FINEST = 0.01  # noise of the cold expert relative to its signal, where it is held against the past
MOST_TOLD = 2.0  # by one trial for or against the past, in log density: no single surprise decides
START = 5  # trials at random where nothing is known
MOST = 300  # trials that are reckoned with


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
        if candidates is None:
            base = self._base_of(task.space, [seed, len(task.history).bit_length()])
            pool = draw_pool(task, base, neighbours=NEIGHBOURS, most=MOST, seed=seed)
        else:
            pool = Pool.of(task.space, candidates)
        observed = _fewer(Observed.of(task, pool))
        mixture = self._mixture(pool, task, observed)
        proposals: list[Config] = []
        for number in range(len(task.history), len(task.history) + n):
            rng = np.random.default_rng([seed, number])
            left = observed.left(pool)
            if not left:  # a small space is used up
                proposals.append(pool[int(rng.integers(len(pool)))])
                continue
            worth = self._first(pool, observed, task, rng) if mixture is None else mixture.worth(observed.taken)
            order = np.argsort(-worth[left], kind="stable")
            place = _affordable([left[i] for i in order[:DEARER]], pool, task)
            proposals.append(pool[place])
            observed = replace(observed, taken=observed.taken | {place})
            if mixture is not None and len(proposals) < n:
                mixture.propose(place)
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

    def _base_of(self, space: Space, seed: list[int]) -> Pool:
        """Known and random configs of a space, kept until others are asked about."""
        if self._base is None or self._base[:2] != (space, seed):
            self._base = (space, seed, draw_base(space, self._past.configs(space), count=BASE, seed=seed))
        return self._base[2]

    def _mixture(self, pool: Pool, task: Task, observed: Observed) -> Mixture | None:
        """The experts, pending trials being reckoned with; None where there is too little to go by."""
        prior, scale = self._prior(pool)
        knows = len(prior) > 0 or self._process is not None
        if len(observed.places) < (1 if knows else START):
            return None
        told = self._told(pool, prior, scale, observed, task.features)
        cold = self._cold(pool, observed)
        share = self._cold_share(told, cold)
        leading = _best(told)
        observed = _with_pending(leading, pool, task, observed)
        believers = [Believer(_again(fit, observed.places, observed.losses)) for fit in told]
        experts: list[Expert] = [*believers]
        if self._parts.copies and len(prior):
            experts.append(Copyist(prior, observed, scale or LossScale.vague(observed.losses)))
        shared = [((1.0 - share) / len(experts), expert) for expert in experts]
        if cold is not None:
            losses = tamed(observed.losses)
            if not np.array_equal(losses, cold.losses):
                cold = own_belief(pool, observed.places, losses).fit(observed.places, losses)
            shared.append((share, Believer(cold)))
        return Mixture(shared, believers[told.index(leading)])

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

    def _first(self, pool: Pool, observed: Observed, task: Task, rng: np.random.Generator) -> NDArray[np.float64]:
        """Before any loss: what prior tasks, or else the process, say is best beside what is under way."""
        prior, _ = self._prior(pool)
        if len(prior):
            scaled = prior.scaled("min_max")
            best = scaled[:, list(observed.taken)].min(axis=1, initial=np.inf)
            return np.asarray(-np.minimum(scaled, best[:, None]).mean(axis=0))
        if self._process is not None and not observed.taken:
            return -self._process.belief(pool, observed.places, observed.losses, task.features, None).mean
        return rng.random(len(pool))


def _affordable(ordered: Sequence[int], pool: Pool, task: Task) -> int:
    """The best place whose config takes at most its share of the time left; the cheapest where none does."""
    if task.costs is None:
        return ordered[0]
    spent = [t.seconds for t in task.done if np.isfinite(t.seconds)]
    seconds = [task.costs.seconds(pool[place]) for place in ordered]
    allowed = SHARE * (task.costs.limit - sum(spent))
    return next(
        (place for place, took in zip(ordered, seconds, strict=True) if took <= allowed),
        ordered[int(np.argmin(seconds))],
    )


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


def _with_pending(told: Fit, pool: Pool, task: Task, observed: Observed) -> Observed:
    """The trials with those under way, whose losses are taken to be what is expected of them (a kriging believer)."""
    places = {place for t in task.pending if (place := pool.place(t.config)) is not None}
    waiting = np.array(sorted(places - set(observed.places.tolist())), np.intp)
    if not len(waiting):
        return observed
    posterior = told.posterior
    expected = posterior.shift + posterior.scale * posterior.mean[waiting]
    return replace(
        observed,
        places=np.concatenate([observed.places, waiting]),
        losses=np.concatenate([observed.losses, expected]),
    )


def _fewer(observed: Observed) -> Observed:
    """At most MOST of the trials."""
    chosen = np.array(representative(observed.losses, MOST), np.intp)
    return replace(observed, places=observed.places[chosen], losses=observed.losses[chosen])
