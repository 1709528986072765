"""The network that emits a Gaussian process, held against dense normal distributions and finite differences."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from autometa.adaptation import InnerLoop, Tasks, learner, meta_gradient
from autometa.errors import InputError
from autometa.policies.process_network import (
    HEAD,
    LEAST_NOISE,
    Episode,
    ProcessNetwork,
    embedded_once,
    matern,
    negative_log_likelihood,
)
from autometa.policies.tokens import tokens
from autometa.pool import Pool
from tests.searches import CONDITIONAL, configs

N = 9
GIVEN = (1, 1, 1, 1, 0, 0, 0, 0, 0)
ASKED = (0, 0, 0, 0, 1, 1, 1, 0, 0)


def network(*, emits=True, seed=0, without=()):
    torch.manual_seed(seed)
    return ProcessNetwork(features=2, width=8, basis=4, places=3, emits=emits, without=without).double()


def episode(given=GIVEN, asked=ASKED, seed=0):
    read = tokens(Pool(CONDITIONAL, configs(CONDITIONAL, N, seed)))
    packed, there = (torch.from_numpy(part).double() for part in read.packed())
    rng = np.random.default_rng(seed)
    losses, features = torch.from_numpy(rng.random(N)), torch.tensor([0.3, -1.2, 1.0], dtype=torch.float64)
    space = torch.from_numpy(read.space.mean(axis=0)).double()
    counts = (torch.tensor(part, dtype=torch.float64) for part in (given, asked))
    return Episode(space, packed, there, torch.arange(N), losses, *counts, features)


def params(of):
    return {name: p.detach() for name, p in of.named_parameters()}


def value(of, one):
    return float(negative_log_likelihood(of, params(of), one))


@torch.no_grad()
def dense(of, one):
    """Mean and covariance of all losses, in plain numpy."""
    basis, places, head = of(one)
    B, P = basis.numpy(), places.numpy()
    r = math.sqrt(5) * np.linalg.norm(P[:, None] - P[None], axis=2)
    kernel = (1 + r + r**2 / 3) * np.exp(-r)
    mean = B @ head.mean.numpy() + float(head.offset)
    covariance = B @ np.diag(head.variances.numpy()) @ B.T + float(head.variance) * kernel
    return mean, covariance + float(head.noise) * np.eye(len(B))


def joint(of, one, mask):
    mean, covariance = dense(of, one)
    at = np.flatnonzero(np.array(mask) > 0)
    return -multivariate_normal.logpdf(one.losses.numpy()[at], mean[at], covariance[np.ix_(at, at)])


@pytest.mark.parametrize("emits", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_asked_for_is_foretold_from_what_is_given_as_a_dense_normal_does(seed, emits):
    of, one = network(emits=emits, seed=seed), episode(seed=seed)
    mean, covariance = dense(of, one)
    g, a = np.arange(4), np.arange(4, 7)
    gain = covariance[np.ix_(a, g)] @ np.linalg.inv(covariance[np.ix_(g, g)])
    y = one.losses.numpy()
    told = mean[a] + gain @ (y[g] - mean[g])
    doubt = covariance[np.ix_(a, a)] - gain @ covariance[np.ix_(g, a)]
    assert value(of, one) == pytest.approx(-multivariate_normal.logpdf(y[a], told, doubt) / 3, abs=1e-5)


def test_the_conditional_is_the_joint_less_the_marginal():
    of, one = network(), episode()
    both = np.array(GIVEN) + np.array(ASKED)
    assert value(of, one) == pytest.approx((joint(of, one, both) - joint(of, one, GIVEN)) / 3, abs=1e-5)


def test_with_nothing_given_it_is_the_marginal():
    of, one = network(), episode(given=(0,) * N, asked=GIVEN)
    assert value(of, one) == pytest.approx(joint(of, one, GIVEN) / 4, abs=1e-5)


def test_with_nothing_asked_it_is_zero():
    assert value(network(), episode(asked=(0,) * N)) == 0.0


def test_padding_changes_nothing():
    of, one = network(), episode()
    cut = one._replace(**{n: getattr(one, n)[:7] for n in ("tokens", "there", "losses", "given", "asked")})
    odd = one._replace(losses=torch.where(one.given + one.asked > 0, one.losses, 1e3))
    wider = one._replace(
        tokens=torch.cat([one.tokens, torch.zeros(N, 2, one.tokens.shape[2]).double()], dim=1),
        there=torch.cat([one.there, torch.zeros(N, 2).double()], dim=1),
    )
    for other in (cut, odd, wider):
        assert value(of, other) == pytest.approx(value(of, one), abs=1e-10)


def test_the_order_of_configs_does_not_matter():
    of, one = network(), episode()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    turned = one._replace(**{n: getattr(one, n)[order] for n in ("tokens", "there", "losses", "given", "asked")})
    assert value(of, turned) == pytest.approx(value(of, one), abs=1e-10)


def test_the_order_of_tokens_does_not_matter():
    of, one = network(), episode()
    turned = one._replace(tokens=one.tokens.flip(1), there=one.there.flip(1))
    assert value(of, turned) == pytest.approx(value(of, one), abs=1e-10)


@pytest.mark.parametrize("emits", [True, False])
def test_gradients_are_those_of_finite_differences(emits):
    of, one = network(emits=emits), episode()
    start = params(of)
    names = [n for n in start if emits or n.split(".")[0] not in ("trial", "dataset", "head")]
    # "best" jumps with the ranks of the losses, which parameters do not touch: the loss is smooth in these.
    assert torch.autograd.gradcheck(
        lambda *some: negative_log_likelihood(of, dict(start) | dict(zip(names, some, strict=True)), one),
        tuple(start[n].clone().requires_grad_() for n in names),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("part", "gone"),
    [("mean", lambda head: head.mean), ("linear", lambda head: head.variances), ("deep", lambda head: head.variance)],
)
def test_a_part_that_is_left_out_is_nothing_and_the_others_are_as_they_were(part, gone):
    whole, less, one = network(), network(without=(part,)), episode()
    with torch.no_grad():
        assert (gone(whole(one)[2]) != 0).any()
        assert (gone(less(one)[2]) == 0).all()
        for before, after in zip(whole(one)[2], less(one)[2], strict=True):
            assert (after == 0).all() or torch.equal(before, after)
    assert np.isfinite(value(less, one))


@pytest.mark.parametrize("without", [("mean", "linear", "deep"), ("kernel",)])
def test_what_is_left_out_is_some_of_the_parts(without):
    with pytest.raises(InputError, match="some, not all, of mean, linear, deep"):
        network(without=without)


def test_a_gradient_is_finite_where_two_configs_are_equal():
    of, one = network(), episode()
    twice = one._replace(tokens=one.tokens[:1].expand_as(one.tokens), there=one.there[:1].expand_as(one.there))
    leaves = {n: p.clone().requires_grad_() for n, p in params(of).items()}
    negative_log_likelihood(of, leaves, twice).backward()
    assert all(torch.isfinite(p.grad).all() for p in leaves.values() if p.grad is not None)


def test_a_network_that_emits_reads_the_history_and_the_dataset():
    of, one = network(), episode()
    with torch.no_grad():
        head = of(one)[2]
        others = [
            one._replace(losses=one.losses.flip(0)),
            one._replace(given=one.asked),
            one._replace(features=-one.features),
            one._replace(space=one.space + 1.0),
        ]
        assert all(not torch.equal(of(other)[2].mean, head.mean) for other in others)


def test_a_history_counts_by_the_order_of_its_losses_alone():
    of, one = network(), episode()
    with torch.no_grad():
        assert torch.equal(of(one)[2].mean, of(one._replace(losses=5.0 * one.losses - 2.0))[2].mean)


def test_a_network_that_does_not_emit_has_one_head_for_all():
    of = network(emits=False)
    with torch.no_grad():
        one, other = of(episode(seed=0))[2], of(episode(given=(0,) * N, seed=1))[2]
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    r = of.basis.out_features
    assert float(one.offset.detach()) == float(of.common.detach()[2 * r])


def test_a_head_is_within_bounds_whatever_is_learned():
    of = network()
    with torch.no_grad():
        for size in (-1e4, 1e4):
            of.common.fill_(size)
            head = of(episode())[2]
            assert all(torch.isfinite(part).all() for part in head)
            assert float(head.noise) >= LEAST_NOISE
            assert float(head.variance) > 0
            assert float(head.variances.min()) > 0


def test_the_kernel_is_one_with_itself_and_falls():
    K = matern(torch.tensor([[0.0], [0.5], [2.0], [40.0]], dtype=torch.float64))
    assert torch.diagonal(K).numpy() == pytest.approx(np.ones(4), abs=1e-5)
    assert (K[0].diff() < 0).all()


def test_the_parameters_of_the_head_are_there():
    names = {n.split(".")[0] for n, _ in network().named_parameters()}
    assert set(HEAD) < names


@pytest.mark.parametrize("inner", [InnerLoop(steps=0), InnerLoop(2, 0.1, adapts=HEAD)], ids=["joint", "anil"])
def test_configs_that_are_embedded_once_give_the_same_gradient(inner):
    of, places = network(), torch.tensor([3, 1, 3, 0, 2, 1, 5, 3, 8])
    whole = [episode(seed=seed) for seed in range(3)]
    picked = [
        one._replace(tokens=one.tokens[at], there=one.there[at], places=at)
        for one, at in zip([whole[0]] * 3, (places, places.flip(0), torch.arange(N)), strict=True)
    ]
    query = Episode(*(torch.stack(parts) for parts in zip(*picked, strict=True)))
    query = query._replace(losses=torch.stack([one.losses for one in whole]))
    tasks = Tasks(query._replace(given=torch.zeros_like(query.given), asked=query.given), query)
    begin, loss = learner(params(of), inner), partial(negative_log_likelihood, of)
    plain = meta_gradient(loss, inner, begin, tasks)
    once = meta_gradient(loss, inner, begin, tasks, prepare=partial(embedded_once, of))
    assert float(plain[0]) == pytest.approx(float(once[0]), abs=1e-12)
    for name, gradient in plain[1].params.items():
        assert torch.allclose(gradient, once[1].params[name], atol=1e-10), name
    assert sum(float(g.abs().sum()) for n, g in once[1].params.items() if n.startswith("token")) > 0


def test_a_covariance_that_is_singular_in_single_precision_gives_no_number_and_no_error():
    of, one = network().float(), Episode(*(part.float() for part in episode()))
    at = {name: 1e5 * p if name.startswith("basis") else p for name, p in params(of).items()}
    assert torch.isnan(negative_log_likelihood(of, at, one))
