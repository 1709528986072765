"""A meta-trained process: from a checkpoint to a belief about any pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from autometa.adaptation import InnerLoop, adapt
from autometa.checkpoint import Checkpoint
from autometa.errors import ModelError
from autometa.policies.gaussian import Belief, LossScale, LowRank, Sum
from autometa.policies.kernel import Matern
from autometa.policies.meta_features import Reader
from autometa.policies.process_network import HEAD, Episode, Head, ProcessNetwork, negative_log_likelihood
from autometa.policies.tokens import tokens

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from autometa.pool import Pool

KIND = "policy"
MIDDLE, SPREAD = 0.4, 0.25  # of scaled losses, where no prior task tells of raw ones
POOLS = 2  # whose encodings are kept


@dataclass(frozen=True)
class Encoded:
    """A pool as the network sees it.

    Attributes:
        space: what its hyperparameters are, (t0,).
        tokens: of the C configs, (C, a, t).
        there: 1 where there is a token, (C, a).
        embedded: (C, e).
        basis: (C, r).
        places: (C, p).
    """

    space: Tensor
    tokens: Tensor
    there: Tensor
    embedded: Tensor
    basis: NDArray[np.float64]
    places: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LearnedProcess:
    """The network, what it reads of datasets, and how it adapts to a task.

    Attributes:
        network: with its learned parameters.
        reader: of meta-features.
        inner: the steps that it takes on the trials of a task.
        rule: what ``inner`` has learned.
        card: where it comes from.
    """

    network: ProcessNetwork
    reader: Reader = field(default_factory=Reader)
    inner: InnerLoop = field(default_factory=lambda: InnerLoop(steps=0))
    rule: Mapping[str, Tensor] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    _encoded: dict[Pool, Encoded] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.network.requires_grad_(False)

    @classmethod
    def load(cls, path: Path) -> LearnedProcess:
        """Read a checkpoint of ``autometa meta-train``.

        Raises:
            ModelError: it is none, or damaged.
        """
        found = Checkpoint.load(path, KIND)
        settings = dict(found.settings)
        try:
            inner = settings["inner"]
            adapts = None if inner["adapts"] is None else tuple(inner["adapts"])
            network = ProcessNetwork(**settings["network"])
            names, middle, spread = (tuple(settings["reader"][k]) for k in ("names", "middle", "spread"))
            params = {n.removeprefix("network."): t for n, t in found.tensors.items() if n.startswith("network.")}
            network.load_state_dict(params)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ModelError(f"a policy is a network with its settings; {path} does not fit: {error}") from None
        rule = {n.removeprefix("rule."): t for n, t in found.tensors.items() if n.startswith("rule.")}
        return cls(network, Reader(names, middle, spread), InnerLoop(**{**inner, "adapts": adapts}), rule, found.card)

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        tensors = {f"network.{n}": t for n, t in self.network.state_dict().items()}
        tensors |= {f"rule.{n}": t for n, t in self.rule.items()}
        inner = {k: getattr(self.inner, k) for k in ("steps", "rate", "rates", "second_order", "adapts")}
        reader = {k: getattr(self.reader, k) for k in ("names", "middle", "spread")}
        settings = {"network": self.network.settings, "reader": reader, "inner": inner}
        Checkpoint(KIND, tensors, settings, self.card).save(path)

    def belief(
        self,
        pool: Pool,
        places: NDArray[np.intp],
        losses: NDArray[np.float64],
        features: Mapping[str, float | str],
        scale: LossScale | None,
    ) -> Belief:
        """What is believed of a pool before the trials are reckoned with, the head's prior being theirs already.

        Args:
            pool: C configs.
            places: of n trials.
            losses: theirs, raw.
            features: of the dataset.
            scale: of the raw losses, as prior tasks tell; None to guess it from the trials.
        """
        if scale is None:
            scale = LossScale.vague(losses, middle=MIDDLE, sd=SPREAD) if len(losses) else LossScale(0.0, 1.0, 0.0, 1.0)
        known = self.encode(pool)
        at = torch.from_numpy(places)
        told = torch.from_numpy(np.asarray((losses - scale.shift) / np.exp(scale.log_scale), np.float32))
        ones, features_read = torch.ones(len(places)), torch.from_numpy(self.reader.read(features))
        trials = Episode(known.space, known.tokens[at], known.there[at], told, ones, 0 * ones, features_read)
        network = self._adapted(trials) if self.inner.steps and len(places) else self.network
        if network is not self.network and self.inner.adapts != HEAD:
            known = encoded(network, pool)
        with torch.no_grad():
            head = network.emit(known.embedded[at], trials)
        return _belief(known, head, scale)

    def encode(self, pool: Pool) -> Encoded:
        """What the network makes of a pool; kept for the last pools asked about."""
        if pool not in self._encoded:
            while len(self._encoded) >= POOLS:
                self._encoded.pop(next(iter(self._encoded)))
            self._encoded[pool] = encoded(self.network, pool)
        return self._encoded[pool]

    def _adapted(self, trials: Episode) -> ProcessNetwork:
        """The network after the inner steps on the marginal likelihood of the trials."""
        params = {n: p.detach() for n, p in self.network.named_parameters()}
        asked = trials._replace(given=trials.asked, asked=trials.given)
        loss = partial(negative_log_likelihood, self.network)
        moved = ProcessNetwork(**self.network.settings).requires_grad_(False)
        moved.load_state_dict(adapt(loss, params, asked, self.inner, rule=dict(self.rule)))
        return moved


@torch.no_grad()
def encoded(network: ProcessNetwork, pool: Pool) -> Encoded:
    """What a network makes of a pool."""
    read = tokens(pool)
    packed, there = (torch.from_numpy(part) for part in read.packed())
    embedded = network.encode(packed, there)
    basis, points = network.basis(embedded), network.place(embedded)
    space = torch.from_numpy(read.space.mean(axis=0))
    return Encoded(space, packed, there, embedded, basis.double().numpy(), points.double().numpy())


def _belief(known: Encoded, head: Head, scale: LossScale) -> Belief:
    mean = known.basis @ head.mean.double().numpy() + float(head.offset)
    factors = known.basis * np.sqrt(head.variances.double().numpy())
    low_rank = LowRank(factors, np.zeros(len(factors)))
    return Belief(mean, Sum(low_rank, Matern(known.places, 1.0, float(head.variance))), scale, float(head.noise))
