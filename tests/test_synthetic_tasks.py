"""Synthetic tasks are functions, related as far as they are said to be, and the same in every process."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, spearmanr

from autometa.metatrain.hashed_noise import hashed_noise
from autometa.metatrain.random_functions import Bowl, Branches, Columns, Trees, Waves, relevances
from autometa.metatrain.synthetic_spaces import synthetic_space
from autometa.metatrain.synthetic_tasks import SyntheticFamily, prior_tasks
from autometa.parameters import Categorical, Float, Int
from autometa.policies.kernel import Matern
from autometa.pool import Pool
from autometa.space import Space

ROOT = Path(__file__).parents[1]
CONDITIONAL = Space(
    "conditional",
    (
        Categorical(name="algorithm", choices=("tree", "net"), default="tree"),
        Float(name="rate", low=1e-4, high=1.0, log=True, default=1e-2),
        Int(name="depth", low=1, high=9, default=2, when=("algorithm", ("tree",))),
        Float(name="width", low=1.0, high=100.0, log=True, default=5.0, when=("algorithm", ("net",))),
    ),
)
COLUMNS = Columns.of(CONDITIONAL)
KINDS = (Waves, Trees, Bowl)


def pool_of(space, configs=50, seed=0):
    rng = np.random.default_rng(seed)
    return Pool(space, [space.sample(rng) for _ in range(configs)])


def agreement(losses):
    """The mean rank correlation of tasks, on the configs that do not fail."""
    finite = np.isfinite(losses).all(axis=0)
    return spearmanr(losses[:, finite].T).statistic[np.triu_indices(len(losses), 1)].mean()


def test_columns_are_the_pools_own():
    pool = pool_of(CONDITIONAL)
    np.testing.assert_array_equal(COLUMNS.inputs(pool.units), pool.inputs)
    assert COLUMNS.owner.tolist() == [0, 0, 1, 2, 2, 3, 3]
    assert COLUMNS.binary.tolist() == [True, True, False, False, True, False, True]
    one = Pool(CONDITIONAL, pool.configs[:1])
    np.testing.assert_array_equal(COLUMNS.inputs(one.units), pool.inputs[:1])  # whose own pool has fewer columns


def test_waves_have_the_covariance_of_a_matern():
    pool, rng = pool_of(CONDITIONAL, 20), np.random.default_rng(0)
    length = 0.7
    total = np.zeros((len(pool), len(pool)))
    for _ in range(100):
        features = Waves.draw(COLUMNS, np.full(len(CONDITIONAL), 1 / length), rng).features(pool.inputs)
        total += 2 * features @ features.T / features.shape[1] / 100
    np.testing.assert_allclose(total, Matern(pool.inputs, length).rows(np.arange(len(pool))), atol=0.03)


def test_a_tree_is_read_by_hand():
    trees = Trees(np.array([[2, 0, 0]]), np.array([[0.1, 0.3, 0.3]]), np.ones(1))
    configs = [{"algorithm": "net", "rate": rate, "width": 5.0} for rate in (1e-4, 1.0)]
    inputs = COLUMNS.inputs(Pool(CONDITIONAL, [*configs, {"algorithm": "tree", "rate": 1.0, "depth": 1}]).units)
    assert trees.features(inputs).argmax(axis=1).tolist() == [0, 1, 7]


@given(seed=st.integers(0, 2**32 - 1))
def test_a_bowl_is_a_parabola_about_its_best_place(seed):
    bowl = Bowl.draw(COLUMNS, np.array([0.0, 1.0, 0.0, 2.0]), np.random.default_rng(seed))
    weights = bowl.weights(np.random.default_rng(seed))
    places = np.linspace(0, 1, 101)

    def values(name, algorithm):
        units = np.full((len(places), 4), np.nan)
        units[:, 0] = CONDITIONAL["algorithm"].to_unit(algorithm)
        units[:, 1] = 0.5
        units[:, [p.name for p in CONDITIONAL].index(name)] = places
        return bowl.features(COLUMNS.inputs(units)) @ weights

    for name, bend in (("rate", bowl.curvature[1]), ("width", bowl.curvature[3])):
        parabola = np.polyfit(places, values(name, "net"), 2)
        assert parabola[0] == pytest.approx(bend)
        assert -1e-6 <= -parabola[1] / (2 * parabola[0]) <= 1 + 1e-6
    absent = values("depth", "tree")[0]  # where no width is: as good as the best of them
    parabola = np.polyfit(places, values("width", "net"), 2)
    assert np.polyval(parabola, -parabola[1] / (2 * parabola[0])) == pytest.approx(absent)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_what_does_not_matter_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    space = synthetic_space(seed)
    columns, relevance = Columns.of(space), relevances(space, rng)
    units = pool_of(space, 20, seed).units
    moved = np.where(np.isnan(units) | (relevance > 0), units, rng.random(units.shape))
    for kind in KINDS:
        drawn = kind.draw(columns, relevance, rng)
        weights = drawn.weights(rng)
        before, after = (drawn.features(columns.inputs(at)) @ weights for at in (units, moved))
        np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)


def test_branches_are_the_choices_that_decide():
    assert Branches.of(COLUMNS).columns.tolist() == [0, 1]


def test_noise_is_normal_and_of_the_config_alone():
    units = pool_of(CONDITIONAL, 200).units
    keys = np.random.default_rng(0).integers(2**64, size=50, dtype=np.uint64)
    noise = hashed_noise(units, keys)
    assert kstest(noise.ravel(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(noise)[np.triu_indices(50, 1)]).max() < 0.35
    np.testing.assert_array_equal(hashed_noise(units[7:9], keys[3:5]), noise[3:5, 7:9])


@given(seed=st.integers(0, 2**32 - 1), number=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_a_task_is_a_function(seed, number):
    family = SyntheticFamily.draw(seed)
    pool = pool_of(family.space, 10, seed)
    table = family.losses([number, number + 1], pool)
    assert not np.isnan(table).any()
    loss = SyntheticFamily.draw(seed).task(number)
    np.testing.assert_allclose([loss(config) for config in pool], table[0], rtol=1e-9, atol=1e-9)


def test_relatedness_is_about_the_correlation_of_tasks():
    families = [SyntheticFamily.draw(seed) for seed in range(30)]
    degrees = (0.0, 0.25, 0.5, 0.75, 1.0)
    means = []
    for degree in degrees:
        tables = [prior_tasks(replace(f, relatedness=degree), tasks=6, configs=100, seed=0).losses for f in families]
        means.append(np.mean([agreement(losses) for losses in tables]))
    assert (np.diff(means) > 0.1).all()
    np.testing.assert_allclose(means, degrees, atol=0.15)


def test_families_are_of_every_degree():
    drawn = [SyntheticFamily.draw(seed, CONDITIONAL).relatedness for seed in range(100)]
    assert kstest(drawn, "uniform").pvalue > 0.01


def test_some_families_fail_somewhere_and_most_configs_are_bad():
    failing, medians = 0, []
    for seed in range(200):
        losses = prior_tasks(SyntheticFamily.draw(seed), tasks=3, configs=100, seed=seed).losses
        failed = np.isinf(losses)
        failing += failed.any()
        assert (failed == failed[0]).all()
        assert failed.mean() < 0.5
        for row in losses:
            finite = row[np.isfinite(row)]
            assert np.ptp(finite) > 0
            medians.append((np.median(finite) - finite.min()) / np.ptp(finite))
    assert 0.04 < failing / 200 < 0.18
    assert np.mean(medians) > 0.52


def test_prior_tasks_share_a_pool_of_valid_configs():
    family = SyntheticFamily.draw(4)
    prior = prior_tasks(family, tasks=5, configs=40, seed=1)
    assert prior.names == tuple(f"synthetic-4-{i}" for i in range(5))
    assert prior.losses.shape == (5, len(prior.pool))
    assert len({tuple(sorted(config.items())) for config in prior.pool}) == len(prior.pool) <= 40
    for config in prior.pool:
        family.space.check(config)
    np.testing.assert_array_equal(prior_tasks(family, tasks=5, configs=40, seed=1).losses, prior.losses)
    assert prior_tasks(family, tasks=5, configs=40, seed=2).pool.configs != prior.pool.configs


def told():
    return [
        [float(f"{loss:.9g}") for loss in prior_tasks(SyntheticFamily.draw(seed), tasks=2, configs=5, seed=0).losses[1]]
        for seed in range(5)
    ]


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_losses_are_the_same_in_another_process(hash_seed):
    code = "import sys; sys.path.insert(0, 'tests'); from test_synthetic_tasks import told; print(told())"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == str(told())


@pytest.mark.parametrize("space", [None, Space.load("tabular")], ids=["synthetic", "tabular"])
def test_many_tasks_take_no_time(space):
    def once(seed):
        start = time.process_time()
        prior_tasks(SyntheticFamily.draw(seed, space), tasks=64, configs=256, seed=0)
        return time.process_time() - start

    assert min(once(seed) for seed in range(3)) < 0.3
