"""A network that reads any space, any dataset and any history, and emits a Gaussian process over the configs.

    f(x) = basis(x) . w + g(x),   w ~ N(mean, diag(variances)),   g ~ GP(0, variance * Matérn 5/2 of place(x))

basis and place are learned and the same for all tasks: a deep kernel (Wistuba and Grabocka 2021, "Few-Shot Bayesian
Optimization with Deep Kernel Surrogates") beside a learned linear one with a learned mean (Wang et al. 2024, HyperBO).
What is particular to a task, the prior of w and the sizes of g and of the noise, is emitted by a small hypernetwork
(Ha, Dai and Le 2017) that reads the space, the dataset's meta-features and the trials so far. Inference in f is exact.

Letters: n configs (trials and candidates), a hyperparameters that are active in one config at most, t token width,
m meta-features, e embedding width, r functions of the basis, p dimensions of the places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call

from autometa.adaptation import Tasks
from autometa.errors import InputError
from autometa.policies.tokens import SPACE_WIDTH, VALUE_WIDTH

FULL = 20.0  # trials at which the hypernetwork hears twice as much of a history as of ten
LEAST_NOISE = 1e-3
HEAD = ("head", "common")  # parameters that emit the head
Part = Literal["mean", "linear", "deep"]  # of the process: the learned mean, the linear kernel, the deep kernel


class Episode(NamedTuple):
    """A part of a task; every tensor may have further axes in front under vmap.

    Attributes:
        space: the mean of what its hyperparameters are, (t0,).
        tokens: of the configs, one for each active hyperparameter, (n, a, t).
        there: 1 where there is a token, (n, a).
        places: equal for equal configs, (n,).
        losses: scaled to about [0, 1], 0 where not known, (n,).
        given: 1 for the trials that are known, (n,).
        asked: 1 for those to foretell, (n,). Neither: padding.
        features: standardised meta-features with 0 for unknown ones, and last whether any is known, (m + 1,).
    """

    space: Tensor
    tokens: Tensor
    there: Tensor
    places: Tensor
    losses: Tensor
    given: Tensor
    asked: Tensor
    features: Tensor


class Embedded(NamedTuple):
    """An episode whose configs are embedded.

    Attributes:
        configs: (n, e).
        space, losses, given, asked, features: see :class:`Episode`.
    """

    configs: Tensor
    space: Tensor
    losses: Tensor
    given: Tensor
    asked: Tensor
    features: Tensor

    @classmethod
    def of(cls, configs: Tensor, episode: Episode) -> Embedded:
        """The episode with these embeddings."""
        return cls(configs, episode.space, episode.losses, episode.given, episode.asked, episode.features)


class Head(NamedTuple):
    """What the hypernetwork emits.

    Attributes:
        mean, variances: of the weights of the basis, (r,).
        offset: of all losses, ().
        variance: of g, ().
        noise: variance of a trial about f, ().
    """

    mean: Tensor
    variances: Tensor
    offset: Tensor
    variance: Tensor
    noise: Tensor


class ProcessNetwork(nn.Module):
    """The encoder of configs and the hypernetwork that emits the head.

    Args:
        features: m; 0 for a network that reads no meta-features.
        width: e.
        basis: r.
        places: p.
        emits: whether the hypernetwork emits the head. Else one head is learned for all tasks.
        without: parts of the process that are left out.

    Raises:
        InputError: there is no such part, or nothing is left of the process.
    """

    def __init__(
        self,
        *,
        features: int = 0,
        width: int = 64,
        basis: int = 24,
        places: int = 6,
        emits: bool = True,
        without: Sequence[Part] = (),
    ) -> None:
        super().__init__()
        if not set(without) < set(get_args(Part)):
            raise InputError(f"what is left out is some, not all, of {', '.join(get_args(Part))}; got {list(without)}")
        self.settings: dict[str, Any] = {
            "features": features,
            "width": width,
            "basis": basis,
            "places": places,
            "emits": emits,
            "without": list(without),
        }
        self.emits = emits
        kept = [float(part not in without) for part in get_args(Part)]
        self._mean, self._linear, self._deep = kept
        self.token = _mlp(SPACE_WIDTH + VALUE_WIDTH, width, width)
        self.again = _mlp(2 * width, width, width)
        self.whole = _mlp(2 * width, width, width)
        self.basis = nn.Linear(width, basis)
        self.place = nn.Linear(width, places)
        self.trial = _mlp(width + 2, width, width)
        self.dataset = _mlp(features + 1, width, width)
        self.head = _mlp(2 * width + SPACE_WIDTH + 1, width, 2 * basis + 3)
        self.common = nn.Parameter(torch.cat([torch.zeros(basis), torch.full((basis,), -3.0), torch.zeros(3)]))
        with torch.no_grad():
            self.common[-3:] = torch.tensor([0.4, -4.0, -5.0])
            last = self.head[-1]
            assert isinstance(last, nn.Linear)
            last.weight *= 0.1
            last.bias.zero_()

    def encode(self, tokens: Tensor, there: Tensor) -> Tensor:
        """Embeddings of n configs, (n, e): sums over their active hyperparameters, in two rounds."""
        count = there.sum(dim=-1, keepdim=True).clamp(min=1.0).sqrt()
        parts = self.token(tokens) * there[..., None]
        pooled = parts.sum(dim=-2) / count
        around = pooled[..., None, :].expand(parts.shape)
        parts = self.again(torch.cat([parts, around], dim=-1)) * there[..., None]
        found: Tensor = self.whole(torch.cat([pooled, parts.sum(dim=-2) / count], dim=-1))
        return found

    def emit(self, embedded: Tensor, episode: Episode | Embedded) -> Head:
        """The head for what is given of an episode."""
        raw = self.common
        if self.emits:
            n = episode.given.sum()
            ranks = _ranks(episode.losses, episode.given)
            best = (ranks <= 0.1).to(ranks) * episode.given
            trials = self.trial(torch.cat([embedded, ranks[:, None], best[:, None]], dim=-1)) * episode.given[:, None]
            history = trials.sum(dim=0) / (n + FULL / 4)
            summary = torch.cat([history, self.dataset(episode.features), episode.space, (n / (n + FULL))[None]])
            raw = raw + self.head(summary)
        r = self.basis.out_features
        offset, log_variance, log_noise = raw[2 * r :]
        return Head(
            self._mean * raw[:r],
            self._linear * torch.exp(raw[r : 2 * r].clamp(-12, 3)),
            offset,
            self._deep * torch.exp(log_variance.clamp(-10, 2)),
            LEAST_NOISE + torch.exp(log_noise.clamp(-10, 0)),
        )

    def forward(self, episode: Episode | Embedded) -> tuple[Tensor, Tensor, Head]:
        """Basis (n, r), places (n, p) and head."""
        embedded = self.encode(episode.tokens, episode.there) if isinstance(episode, Episode) else episode.configs
        return self.basis(embedded), self.place(embedded), self.emit(embedded, episode)


class _Encoder(nn.Module):
    """The encoder of a network alone, to be called with parameters of one's own."""

    def __init__(self, network: ProcessNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        return self.network.encode(tokens, there)


def negative_log_likelihood(
    network: ProcessNetwork, params: Mapping[str, Tensor], episode: Episode | Embedded
) -> Tensor:
    """Of the losses asked for, together, given those that are given, per loss asked for: a scalar.

    With nothing given it is the negative log marginal likelihood, the inner loss of an adaptation.
    """
    basis, places, head = functional_call(network, dict(params), (episode,))
    mean = basis @ head.mean + head.offset
    covariance = (basis * head.variances) @ basis.T + head.variance * matern(places)
    apart = episode.losses - mean
    both = _energy(covariance, head.noise, apart, episode.given + episode.asked)
    known = _energy(covariance, head.noise, apart, episode.given)
    return (both - known) / episode.asked.sum().clamp(min=1.0)


def embedded_once(network: ProcessNetwork, params: Mapping[str, Tensor], tasks: Tasks) -> Tasks:
    """The tasks with each config embedded once, however many episodes it is in.

    Args:
        network: whose encoder embeds them.
        params: of the network; the same for all tasks, so the inner loop must leave the encoder alone.
        tasks: episodes of T tasks, the support sets on the configs of the query sets.
    """
    query: Episode = tasks.query
    kinds, which = torch.unique(query.places, return_inverse=True)
    count = query.places.numel()
    one_of = torch.empty_like(kinds).scatter_(0, which.flatten(), torch.arange(count, device=kinds.device))
    some = query.tokens.flatten(0, 1)[one_of], query.there.flatten(0, 1)[one_of]
    found = functional_call(_Encoder(network), {f"network.{name}": p for name, p in params.items()}, some)
    return Tasks(*(Embedded.of(found[which], episode) for episode in (tasks.support, query)))


def matern(places: Tensor) -> Tensor:
    """Matérn 5/2 between n points at unit length, (n, n)."""
    squares = (places**2).sum(dim=-1)
    apart = (squares[:, None] + squares[None, :] - 2 * places @ places.T).clamp(min=0.0)
    scaled = torch.sqrt(5.0 * apart + 1e-6)
    return (1.0 + scaled + scaled**2 / 3.0) * torch.exp(-scaled)


def _energy(covariance: Tensor, noise: Tensor, apart: Tensor, counts: Tensor) -> Tensor:
    """Negative log density of the losses that count; the others are made independent of all and say nothing.

    NaN where single precision cannot tell the covariance from a singular one: such a step of a training is skipped.
    """
    kept = counts[:, None] * covariance * counts[None, :]
    factor, failed = torch.linalg.cholesky_ex(kept + torch.diag(counts * noise + (1.0 - counts)))
    solved = torch.linalg.solve_triangular(factor, (counts * apart)[:, None], upper=False)
    constant = 0.5 * math.log(2 * math.pi) * counts.sum()
    found: Tensor = 0.5 * (solved**2).sum() + torch.log(torch.diagonal(factor)).sum() + constant
    return torch.where(failed > 0, torch.nan, found)


def _ranks(losses: Tensor, given: Tensor) -> Tensor:
    """Share of the given losses that are lower, about the middle, (n,); 0 where nothing is given."""
    lower = ((losses[None, :] < losses[:, None]) * given[None, :]).sum(dim=-1)
    return (lower / given.sum().clamp(min=1.0)) * given


def _mlp(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, out))
