"""What prior tasks have in common: one task, many tasks."""

import numpy as np
import pytest

from autometa.policies.gaussian import LossScale, Remembered, inverse_of
from autometa.policies.kernel import Matern
from autometa.policies.shared_belief import LEAST_DOUBT, shared_beliefs
from autometa.pool import Pool
from autometa.records.prior_tasks import PriorTasks
from tests.searches import PLANE, configs

SCALE = LossScale(0.0, 1.0, 0.0, 1.0)
POOL = Pool(PLANE, configs(PLANE, 40))


def prior_tasks(losses):
    return PriorTasks(POOL, tuple(f"t{i}" for i in range(len(losses))), np.asarray(losses, float))


def whole(belief):
    return belief.covariance.rows(np.arange(len(belief.mean)))


def test_one_task_is_the_mean_and_the_rest_is_a_process_about_it():
    prior = prior_tasks(np.random.default_rng(0).uniform(3, 9, (1, 40)))
    (belief,) = shared_beliefs(prior, SCALE)
    assert belief.mean == pytest.approx(prior.scaled("min_max")[0])
    K, apart = whole(belief), np.linalg.norm(POOL.inputs[:, None] - POOL.inputs[None], axis=2)
    assert np.diag(K) == pytest.approx(np.full(40, K[0, 0]))
    assert 0.2 * belief.mean.var() < K[0, 0] < belief.mean.var()
    assert (np.diff(K[0][np.argsort(apart[0])]) < 0).all()


def test_many_tasks_are_their_empirical_covariance():
    rng = np.random.default_rng(0)
    losses = rng.dirichlet([1.0] * 3, 2_000) @ rng.random((3, 40))
    prior = prior_tasks(losses)
    (belief,) = shared_beliefs(prior, SCALE)
    wanted = np.cov(prior.scaled("min_max").T)
    assert belief.mean == pytest.approx(prior.scaled("min_max").mean(axis=0))
    assert np.abs(whole(belief) - wanted).max() < 2 * LEAST_DOUBT * wanted.diagonal().max()


def test_the_doubt_falls_as_the_tasks_grow():
    losses = np.random.default_rng(0).random((200, 40))
    found = [shared_beliefs(prior_tasks(losses[:s]), SCALE)[0].covariance for s in (2, 5, 20, 200)]
    shares = [one.other.variances[0] / one.variances.mean() for one in found]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("losses", [np.full((1, 40), 0.1), np.full((5, 40), 7.0), np.tile(np.arange(40.0), (4, 1))])
def test_tasks_that_do_not_differ_leave_a_doubt(losses):
    K = whole(shared_beliefs(prior_tasks(losses), SCALE)[0])
    assert np.linalg.eigvalsh(K + 1e-9 * np.eye(40)).min() > 0
    assert (np.diag(K) > 0).all()


def test_doubts_multiply_what_no_prior_task_has_shown():
    prior = prior_tasks(np.random.default_rng(0).random((5, 40)))
    one, two, four = (whole(belief) for belief in shared_beliefs(prior, SCALE, [1.0, 2.0, 4.0]))
    assert four - two == pytest.approx(2.0 * (two - one))
    assert (np.diag(two) > np.diag(one)).all()


def test_remembered_rows_are_those_of_the_places_asked_about():
    kernel = Matern(POOL.inputs, 0.5)
    remembered = Remembered(kernel)
    for places in (np.arange(3), np.arange(3), np.arange(2, 7), np.arange(3)):
        assert np.array_equal(remembered.rows(places), kernel.rows(places))
    assert remembered.rows(np.arange(3)) is remembered.rows(np.arange(3))
    with pytest.raises(ValueError, match="read-only"):
        remembered.rows(np.arange(3))[0] = 0.0


def test_inverse_of_a_factor_is_that_of_the_matrix():
    matrix = Matern(POOL.inputs, 0.5).rows(np.arange(40)) + 0.1 * np.eye(40)
    assert inverse_of(np.linalg.cholesky(matrix)) @ matrix == pytest.approx(np.eye(40), abs=1e-10)
