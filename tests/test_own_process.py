"""What the trials of a task say by themselves, held against draws of processes that are known."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import spearmanr

from autometa.policies.kernel import Matern
from autometa.policies.own_process import _energy, own_belief, tamed
from autometa.pool import Pool
from tests.searches import CONDITIONAL, PLANE, bowl, configs

POOL = Pool(PLANE, configs(PLANE, 150))
SOME = np.arange(0, 150, 3)
NOISE = 1e-3


def draw(lengths, seed):
    points = POOL.inputs / np.array(lengths)
    covariance = Matern(points, 1.0).rows(np.arange(150)) + NOISE * np.eye(150)
    return np.random.default_rng(seed).multivariate_normal(np.zeros(150), covariance)


def lengths_of(belief):
    return np.ptp(POOL.inputs, axis=0) / np.ptp(belief.covariance.covariance.points, axis=0)


@pytest.mark.parametrize("length", [0.3, 0.6, 1.2])
def test_the_length_of_a_draw_is_found(length):
    found = [lengths_of(own_belief(POOL, np.arange(150), 40.0 - 7.0 * draw([length] * 2, seed))) for seed in range(8)]
    assert np.exp(np.log(found).mean()) == pytest.approx(length, rel=0.4)


def test_an_input_that_does_not_matter_has_a_long_length():
    for seed in range(4):
        one, other = lengths_of(own_belief(POOL, SOME, draw([0.4, 100.0], seed)[SOME]))
        assert other > 3 * one


def test_few_trials_cannot_tell_inputs_apart():
    one, other = lengths_of(own_belief(POOL, np.arange(3), draw([0.4, 100.0], 0)[:3]))
    assert one == pytest.approx(other)


@pytest.mark.parametrize("own", [1, 4])
def test_the_gradient_is_that_of_the_energy(own):
    rng = np.random.default_rng(0)
    points, losses = rng.random((12, 4)), rng.normal(size=12)
    at = np.append(rng.normal(size=own) * 0.3, -4.0)
    found = check_grad(lambda x: _energy(x, points, losses, 0.2)[0], lambda x: _energy(x, points, losses, 0.2)[1], at)
    assert found < 1e-5


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_the_unit_and_the_level_of_the_losses_do_not_matter(unit):
    losses = draw([0.6, 0.6], 0)[SOME]
    one, other = own_belief(POOL, SOME, losses), own_belief(POOL, SOME, unit * (losses + 5.0))
    assert lengths_of(one) == pytest.approx(lengths_of(other), rel=1e-3)
    first, second = one.given(SOME, losses), other.given(SOME, unit * (losses + 5.0))
    assert second.mean - second.best == pytest.approx(first.mean - first.best, rel=1e-2, abs=1e-2)
    assert second.sd == pytest.approx(first.sd, rel=1e-2, abs=1e-3)


def test_it_foretells_a_smooth_function():
    losses = np.array([bowl()(c) for c in POOL])
    belief = own_belief(POOL, SOME, losses[SOME])
    told = belief.given(SOME, losses[SOME])
    rest = np.setdiff1d(np.arange(150), SOME)
    assert spearmanr(told.mean[rest], losses[rest]).statistic > 0.97
    assert told.shift + told.scale * told.mean[rest] == pytest.approx(losses[rest], abs=0.1)


@pytest.mark.parametrize("losses", [[0.1] * 3, [0.0] * 5, [1e12 / 3] * 7, [-1e-12] * 4])
def test_equal_losses_say_that_all_is_equal(losses):
    places = np.arange(len(losses))
    belief = own_belief(POOL, places, np.array(losses))
    told = belief.given(places, np.array(losses))
    assert told.mean - told.best == pytest.approx(np.zeros(150), abs=1e-6)
    assert np.isfinite(belief.left_out(places, np.array(losses))).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_trials_are_enough(n):
    places, losses = np.arange(n), np.array([1.0, 3.0, 2.0])[:n]
    told = own_belief(POOL, places, losses).given(places, losses)
    assert np.isfinite([told.mean, told.sd]).all()


def test_conditions_are_part_of_the_distance():
    pool = Pool(CONDITIONAL, configs(CONDITIONAL, 60))
    losses = np.array([1.0 if c["algorithm"] == "tree" else 2.0 for c in pool])
    places = np.arange(0, 60, 4)
    told = own_belief(pool, places, losses[places]).given(places, losses[places]).mean
    assert told[losses == 1.0].max() < told[losses == 2.0].min()


# Taming


@pytest.mark.parametrize("n", [3, 4, 5, 20])
def test_one_enormous_loss_does_not_make_the_others_alike(n):
    losses = np.append(np.linspace(1.0, 2.0, n - 1), 1e12)
    found = tamed(losses)
    assert (found[:-1] == losses[:-1]).all()
    assert 2.0 < found[-1] < 10.0


@pytest.mark.parametrize("enormous", [1e30, 1e300])
def test_an_enormous_loss_leaves_what_is_foretold_of_the_others(enormous):
    places, losses = np.arange(20), np.array([bowl()(c) for c in POOL])[:20]
    losses[7] = losses.max()
    wild = losses.copy()
    wild[7] = enormous
    told = [own_belief(POOL, places, some).given(places, some).mean for some in (tamed(losses), tamed(wild))]
    assert spearmanr(*told).statistic > 0.8


def test_taming_keeps_the_order_and_what_is_not_far_above():
    rng = np.random.default_rng(0)
    for _ in range(50):
        losses = rng.standard_t(2, rng.integers(2, 30))
        found = tamed(losses)
        order = np.argsort(losses)
        assert (np.diff(found[order]) >= 0).all()
        assert (found <= losses).all()
        assert (found[losses <= np.median(losses)] == losses[losses <= np.median(losses)]).all()
        assert tamed(3.0 * losses + 2.0) == pytest.approx(3.0 * found + 2.0)


@pytest.mark.parametrize("losses", [[1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 9.0], [1.0, 5.0]])
def test_losses_that_say_nothing_of_their_spread_stay(losses):
    assert tamed(np.array(losses)).tolist() == losses
