"""A meta-trained process: from a checkpoint to a belief about any pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import pad

from autometa.adaptation import InnerLoop, adapt
from autometa.checkpoint import Checkpoint
from autometa.errors import ModelError
from autometa.policies.gaussian import Belief, LossScale, LowRank, Sum
from autometa.policies.kernel import Matern
from autometa.policies.meta_features import Reader
from autometa.policies.pool_memory import PoolMemory
from autometa.policies.process_network import HEAD, Episode, Head, ProcessNetwork, negative_log_likelihood
from autometa.policies.tokens import tokens

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from autometa.pool import Pool

KIND = "policy"
INNER = ("steps", "rate", "rates", "second_order", "adapts")  # settings that are written
READER = ("names", "middle", "spread")
MIDDLE, SPREAD = 0.4, 0.25  # of scaled losses, where no prior task tells of raw ones
LARGEST = 1e30  # scaled loss: numbers are of single precision


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

    @classmethod
    def joined(cls, parts: Sequence[Encoded]) -> Encoded:
        """The pools of several one after another."""
        if len(parts) == 1:
            return parts[0]
        most = max(part.there.shape[1] for part in parts)
        return cls(
            parts[0].space,
            torch.cat([pad(part.tokens, (0, 0, 0, most - part.tokens.shape[1])) for part in parts]),
            torch.cat([pad(part.there, (0, most - part.there.shape[1])) for part in parts]),
            torch.cat([part.embedded for part in parts]),
            np.concatenate([part.basis for part in parts]),
            np.concatenate([part.places for part in parts]),
        )


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
    _encoded: PoolMemory[Encoded] = field(default_factory=PoolMemory, repr=False)

    @classmethod
    def load(cls, path: Path) -> LearnedProcess:
        """Read a checkpoint of ``autometa meta-train``.

        Raises:
            ModelError: it is none, or damaged.
        """
        found = Checkpoint.load(path, KIND)
        try:
            network = ProcessNetwork(**found.settings["network"])
            network.load_state_dict(_named("network.", found.tensors))
            reader = Reader(*(tuple(found.settings["reader"][k]) for k in READER))
            inner = found.settings["inner"]
            adapts = None if inner["adapts"] is None else tuple(inner["adapts"])
            one = cls(
                network, reader, InnerLoop(**{**inner, "adapts": adapts}), _named("rule.", found.tensors), found.card
            )
            one._check()
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"a policy is a network, a reader and an inner loop that belong together; {path} does not fit: {error}"
            ) from None
        return one

    def _check(self) -> None:
        """Raise a ValueError or a TypeError where the parts do not belong together."""
        names, middle, spread = self.reader.names, self.reader.middle, self.reader.spread
        if not len(names) == len(middle) == len(spread) == self.network.settings["features"]:
            raise ValueError(f"the network reads {self.network.settings['features']} meta-features, not {len(names)}")
        if not (np.isfinite(middle).all() and np.isfinite(spread).all() and (np.array(spread) > 0).all()):
            raise ValueError("meta-features have a middle, and a spread above 0")
        params: dict[str, Tensor] = dict(self.network.named_parameters())
        rule = self.inner.initial(params) if self.inner.steps else {}
        if {n: t.shape for n, t in rule.items()} != {n: t.shape for n, t in self.rule.items()}:
            raise ValueError("the rates that were learned are not those of the inner loop")
        if not all(bool(torch.isfinite(t).all()) for t in (*params.values(), *self.rule.values())):
            raise ValueError("a parameter is not a finite number")

    @classmethod
    def shipped(cls) -> LearnedProcess | None:
        """The one that comes with autometa, read once; None where none does."""
        return _shipped()

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        tensors = {f"network.{n}": t for n, t in self.network.state_dict().items()}
        tensors |= {f"rule.{n}": t for n, t in self.rule.items()}
        inner = {k: getattr(self.inner, k) for k in INNER}
        reader = {k: getattr(self.reader, k) for k in READER}
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
        scaled = np.clip((losses - scale.shift) / np.exp(scale.log_scale), -LARGEST, LARGEST)
        told = torch.from_numpy(scaled.astype(np.float32))
        ones, features_read = torch.ones(len(places)), torch.from_numpy(self.reader.read(features))
        trials = Episode(known.space, known.tokens[at], known.there[at], at, told, ones, 0 * ones, features_read)
        network = self._adapted(trials) if self.inner.steps and len(places) else self.network
        if network is not self.network and self.inner.adapts != HEAD:
            known = encoded(network, pool)
        with torch.no_grad():
            # A part of a parameter asks for gradients even here.
            head = Head(*(part.detach() for part in network.emit(known.embedded[at], trials)))
        return _belief(known, head, scale)

    def encode(self, pool: Pool) -> Encoded:
        """What the network makes of a pool."""
        return Encoded.joined(self._encoded.parts(pool, partial(encoded, self.network)))

    def _adapted(self, trials: Episode) -> ProcessNetwork:
        """The network after the inner steps on the marginal likelihood of the trials.

        Losses far from all that it was trained on can throw the steps out of what is a number: they are not taken then.
        """
        params = {n: p.detach() for n, p in self.network.named_parameters()}
        asked = trials._replace(given=trials.asked, asked=trials.given)
        loss = partial(negative_log_likelihood, self.network)
        found = adapt(loss, params, asked, self.inner, rule=dict(self.rule))
        sound = bool(torch.isfinite(loss(found, asked)))
        if not sound:
            return self.network
        moved = ProcessNetwork(**self.network.settings)
        moved.load_state_dict(found)
        return moved


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


@cache
def _shipped() -> LearnedProcess | None:
    with as_file(files("autometa").joinpath("weights/policy.safetensors")) as path:
        return LearnedProcess.load(path) if path.exists() else None


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
