"""How well a belief foretells each trial from the others; sums of covariances; vague scales of losses."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from autometa.policies.gaussian import Belief, LossScale, LowRank, Sum
from autometa.policies.kernel import Matern

CONFIGS = 12


def a_belief(seed, **scale):
    rng = np.random.default_rng(seed)
    low_rank = LowRank(rng.normal(0, 0.3, (CONFIGS, 4)), rng.uniform(0.001, 0.02, CONFIGS))
    prior = LossScale(**({"shift": 2.0, "shift_sd": 0.7, "log_scale": 0.5, "log_scale_sd": 0.6} | scale))
    return Belief(rng.random(CONFIGS), Sum(low_rank, Matern(rng.random((CONFIGS, 2)), 0.6, 0.3)), prior, noise=0.01)


def trials_of(belief, n, seed):
    """Places, and losses drawn about the belief."""
    rng = np.random.default_rng(seed)
    places = rng.permutation(CONFIGS)[:n]
    return places, 2.0 + 1.5 * (belief.mean[places] + rng.normal(0, 0.4, n))


def dense(belief, places, losses):
    """Mean and covariance of raw losses, the shift marginalised, at the scale that all trials speak for."""
    scale = belief.given(places, losses).scale
    among = belief.covariance.rows(places)[:, places] + belief.noise * np.eye(len(places))
    return belief.scale.shift + scale * belief.mean[places], scale**2 * among + belief.scale.shift_sd**2


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [2, 3, 7, 12])
def test_each_loss_is_foretold_from_the_others_as_a_dense_gaussian_does(seed, n):
    belief = a_belief(seed)
    places, losses = trials_of(belief, n, seed)
    mean, covariance = dense(belief, places, losses)
    wanted = []
    for i in range(n):
        others = np.arange(n) != i
        both = multivariate_normal.logpdf(losses, mean, covariance)
        rest = multivariate_normal.logpdf(losses[others], mean[others], covariance[np.ix_(others, others)])
        wanted.append(both - rest)
    assert belief.left_out(places, losses) == pytest.approx(wanted, abs=1e-8)


def test_the_order_of_trials_does_not_matter():
    belief = a_belief(0)
    places, losses = trials_of(belief, 6, 0)
    assert belief.left_out(places[::-1], losses[::-1])[::-1] == pytest.approx(belief.left_out(places, losses))


def test_a_loss_that_does_not_fit_is_the_least_likely():
    belief = a_belief(1)
    places, losses = trials_of(belief, 8, 1)
    losses[3] += 30.0
    assert np.argmin(belief.left_out(places, losses)) == 3


def test_the_belief_that_made_the_losses_foretells_them_best():
    told, other = a_belief(2, log_scale_sd=0.1), a_belief(3, log_scale_sd=0.1)
    rng, ahead = np.random.default_rng(0), 0.0
    whole = told.covariance.rows(np.arange(CONFIGS))
    for _ in range(40):
        losses = 2.0 + math.exp(0.5) * (rng.multivariate_normal(told.mean, whole) + rng.normal(0, 0.1, CONFIGS))
        places = np.arange(CONFIGS)
        ahead += told.left_out(places, losses).sum() - other.left_out(places, losses).sum()
    assert ahead > 40


def test_the_unit_of_the_losses_changes_every_density_alike():
    belief = a_belief(4)
    places, losses = trials_of(belief, 6, 4)
    scale = belief.scale
    stretched = LossScale(1e6 * scale.shift, 1e6 * scale.shift_sd, scale.log_scale + math.log(1e6), scale.log_scale_sd)
    found = Belief(belief.mean, belief.covariance, stretched, belief.noise).left_out(places, 1e6 * losses)
    assert found == pytest.approx(belief.left_out(places, losses) - math.log(1e6))


def test_a_sum_of_covariances_is_the_sum_of_their_matrices():
    rng = np.random.default_rng(0)
    one, other = LowRank(rng.normal(size=(9, 3)), rng.random(9)), Matern(rng.random((9, 2)), 0.5, 2.0)
    places = np.array([7, 0, 3])
    both = Sum(one, other)
    assert both.rows(places) == pytest.approx(one.rows(places) + other.rows(places))
    assert both.variances == pytest.approx(np.diag(both.rows(np.arange(9))))


def test_a_vague_scale_is_that_of_the_losses():
    losses = np.array([3.0, 5.0, 9.0])
    found = LossScale.vague(losses, middle=0.4, sd=0.25)
    assert math.exp(found.log_scale) * 0.25 == pytest.approx(losses.std())
    assert found.shift + 0.4 * math.exp(found.log_scale) == pytest.approx(5.0)
    assert found.shift_sd >= losses.std()


@pytest.mark.parametrize("losses", [[0.0], [7.0], [-1e12], [1e-12], [0.1] * 3, [1e12 / 3] * 7, [0.0] * 4])
def test_losses_without_spread_have_a_scale_that_a_number_of_their_size_may_have(losses):
    found = LossScale.vague(np.array(losses))
    assert math.exp(found.log_scale) == pytest.approx(max(abs(losses[0]), 1.0))
    assert found.shift == losses[0]


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_a_vague_scale_follows_the_unit(unit):
    losses = np.array([1.0, 2.0, 4.0])
    one, other = LossScale.vague(losses), LossScale.vague(unit * losses)
    assert other.log_scale - one.log_scale == pytest.approx(math.log(unit))
    assert other.shift == pytest.approx(unit * one.shift)
