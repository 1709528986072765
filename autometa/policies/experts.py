"""The experts of the learned policy: what prior tasks teach in several forms, what the trials say, whom to trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from autometa.policies.candidates import Observed
from autometa.policies.gaussian import LossScale
from autometa.policies.mixture import Mixture
from autometa.policies.own_process import FEWEST, own_belief, tamed
from autometa.policies.past_tasks import PastTasks
from autometa.policies.shared_belief import shared_beliefs
from autometa.policies.source_copies import agreement
from autometa.pool import Pool
from autometa.records.prior_tasks import PriorTasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.policies.gaussian import Fit
    from autometa.policies.learned_process import LearnedProcess
    from autometa.task import Task

TOLD = 3  # prior tasks from which on they tell the scale of raw losses
DOUBTS = (1.0, 4.0, 16.0)  # factors on what prior tasks have not shown; the trials choose one
FINEST = 0.01  # noise of the cold expert relative to its signal, where it is held against the past
MOST_TOLD = 2.0  # by one trial for or against the past, in log density: no single surprise decides
START = 5  # trials at random where nothing is known
CROWD = 64  # trials under way of which no lengths are learned
WAITING = 128  # trials under way that are reckoned with


@dataclass(frozen=True)
class Parts:
    """What the policy is made of; each part can be left out.

    Attributes:
        process: the meta-trained process.
        process_below: prior tasks on the pool from which on their covariance says all that the process could.
        copies: expected improvement under the prior tasks themselves.
        shared: the prior tasks' mean and covariance.
        cold: the process of the task's own trials.
        least_cold: its share where the prior tasks foretell well.
        doubt: log odds that the cold expert is right, before any trial.
    """

    process: bool = True
    process_below: int = 64
    copies: bool = True
    shared: bool = True
    cold: bool = True
    least_cold: float = 0.02
    doubt: float = -10.0


@dataclass(eq=False)
class Experts:
    """What each expert believes of a pool, given the trials, and the mixture of them.

    Attributes:
        past: finished tasks of any spaces.
        process: meta-trained; None to do without.
        parts: what is left out.
    """

    past: PastTasks
    process: LearnedProcess | None
    parts: Parts
    _known: tuple[Pool, PriorTasks, LossScale | None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.parts.process:
            self.process = None

    def prior(self, pool: Pool) -> tuple[PriorTasks, LossScale | None]:
        """The past on a pool, and the scale of its losses where it tells."""
        if self._known is None or self._known[0] is not pool:
            prior = self.past.on(pool)
            scale = LossScale.fit(prior.scaled("min_max"), prior.losses) if len(prior) >= TOLD else None
            self._known = (pool, prior, scale)
        return self._known[1:]

    def trust(self, task: Task) -> dict[str, float]:
        """What each past task counts for, given the trials, by name; together the share that the past has."""
        pool = Pool(task.space, list({id(t): t.config for t in task.history}.values()))
        observed = Observed.of(task, pool)
        if not len(observed.places):
            return _by_name(self.past.names, np.full(len(self.past), 1.0 / max(len(self.past), 1)))
        prior, scale = self.prior(pool)
        if not len(prior):
            return {}
        told = self._told(pool, prior, scale, observed, task.features)
        share = 1.0 - self._cold_share(told, self._cold(pool, observed))
        return _by_name(prior.names, share * agreement(prior, observed, scale or LossScale.vague(observed.losses)))

    def mixture(self, pool: Pool, task: Task, observed: Observed) -> Mixture | None:
        """What decides; None before any loss, or where nothing is known and the trials are too few.

        Args:
            pool: the candidates.
            task: what is searched.
            observed: the trials that are reckoned with.
        """
        prior, scale = self.prior(pool)
        knows = len(prior) > 0 or self.process is not None
        if len(observed.places) < (1 if knows else START):
            return None
        told = self._told(pool, prior, scale, observed, task.features)
        cold = self._cold(pool, observed)
        share = self._cold_share(told, cold)
        foretold = _best(told).posterior
        expected = foretold.shift + foretold.scale * foretold.mean
        observed = _with_pending(expected, pool, task, observed)
        copies = (prior, scale or LossScale.vague(observed.losses)) if self.parts.copies and len(prior) else None
        told = [_again(fit, observed.places, observed.losses) for fit in told]
        if cold is not None:
            losses = tamed(observed.losses)
            if len(observed.places) - len(cold.places) >= CROWD:  # of so many guesses no lengths are to be learned
                cold = cold.belief.fit(observed.places, losses)
            elif not np.array_equal(losses, cold.losses):
                cold = own_belief(pool, observed.places, losses).fit(observed.places, losses)
        return Mixture(observed, expected, told, copies, cold, share)

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
        if self.process is not None and len(prior) < self.parts.process_below:
            told.append(self.process.belief(pool, places, losses, features, scale).fit(places, losses))
        if len(prior) and (self.parts.shared or not told):
            known = scale or LossScale.vague(losses)
            tried = DOUBTS if len(places) >= FEWEST else DOUBTS[:1]
            told.append(_best([belief.fit(places, losses) for belief in shared_beliefs(prior, known, tried)]))
        return told or [own_belief(pool, places, tamed(losses)).fit(places, losses)]

    def _cold(self, pool: Pool, observed: Observed) -> Fit | None:
        """What the trials say by themselves; None where they are too few."""
        if not self.parts.cold or len(observed.places) < FEWEST:
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
        least = self.parts.least_cold
        return least + (1.0 - least) * float(expit(self.parts.doubt + apart))


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
    places = {place for t in task.pending if (place := pool.find(t.key)) is not None}
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
