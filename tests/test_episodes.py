"""Episodes: what is known and what is to be foretold, and of which trials."""

import numpy as np
import pytest
import torch

from autometa.metatrain.episodes import Episodes
from autometa.metatrain.synthetic_tasks import SyntheticFamily, prior_tasks
from autometa.policies.meta_features import Reader
from autometa.policies.tokens import tokens
from autometa.pool import Pool
from autometa.records.prior_tasks import PriorTasks
from tests.searches import CONDITIONAL, PLANE, configs

READER = Reader(("rows",), (10.0,), (5.0,))


def source(space=CONDITIONAL, tasks=4, count=60, gaps=0.0, failing=0.0, seed=0):
    """Losses tell which task and which config they are of."""
    rng = np.random.default_rng(seed)
    pool = Pool(space, configs(space, count, seed))
    losses = 1000.0 * np.arange(tasks)[:, None] + rng.permutation(len(pool)) + 1.0
    losses[:, 1:][rng.random((tasks, len(pool) - 1)) < failing] = np.inf
    losses[:, 1:][rng.random((tasks, len(pool) - 1)) < gaps] = np.nan
    return PriorTasks(
        pool, tuple(f"t{i}" for i in range(tasks)), losses, tuple({"rows": float(i)} for i in range(tasks))
    )


def batch(episodes, seed=0):
    return episodes.draw(torch.Generator().manual_seed(seed))


def flat(tasks):
    return [*tasks.support, *tasks.query]


def test_the_same_seed_draws_the_same_batch_and_another_does_not():
    sources = [source(), source(PLANE, seed=1)]
    for seed in range(5):
        one, other = (flat(batch(Episodes(sources, READER), seed)) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    first, second = (batch(Episodes(sources[:1], READER), seed).query.losses for seed in (0, 1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("count", [2, 3, 20, 200])
@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.7])
def test_known_and_asked_never_overlap_and_are_recorded(gaps, count):
    prior = source(count=count, gaps=gaps, failing=0.1)
    scaled, unrecorded = prior.scaled("min_max"), np.isnan(prior.losses)
    episodes = Episodes([prior], READER, batch=40)
    read = tokens(prior.pool)
    packed = [row.tobytes() for row in read.packed()[0]]
    for seed in range(5):
        query = batch(episodes, seed).query
        assert not (query.given * query.asked).any()
        rows = (query.features[:, 0] * 5.0 + 10.0).round().int().tolist()
        for i, row in enumerate(rows):
            places = [packed.index(t.numpy().tobytes()) for t in query.tokens[i]]
            assert len(set(places)) == len(places)
            assert query.losses[i].numpy() == pytest.approx(scaled[row, places].astype(np.float32))
            counts = (query.given[i] + query.asked[i]).numpy() > 0
            assert not unrecorded[row, np.array(places)[counts]].any()


def test_support_is_the_known_trials_alone():
    for seed in range(5):
        support, query = batch(Episodes([source(gaps=0.2)], READER), seed)
        assert torch.equal(support.asked, query.given)
        assert not support.given.any()
        rest = ("space", "tokens", "there", "losses", "features")
        assert all(torch.equal(getattr(support, n), getattr(query, n)) for n in rest)


def test_histories_are_of_every_length_and_now_and_then_empty():
    episodes = Episodes([source(count=200)], READER, batch=500, most=40, asked=32)
    query = batch(episodes).query
    known, asked = query.given.sum(dim=1), query.asked.sum(dim=1)
    assert set(known.int().tolist()) >= {0, 1, 2, 3, 5, 8}
    assert 20 < known.max() <= 40
    assert (asked == 32).all()
    assert 25 < (known == 0).sum() < 90


def test_some_histories_lean_towards_good_configs_and_what_is_asked_leans_alike():
    query = batch(Episodes([source(count=400)], READER, batch=400)).query
    mean = (query.losses * query.asked).sum(dim=1) / query.asked.sum(dim=1)
    assert (mean < 0.3).float().mean() > 0.15
    assert ((mean > 0.4) & (mean < 0.6)).float().mean() > 0.4
    many = query.given.sum(dim=1) >= 10
    known = (query.losses * query.given).sum(dim=1) / query.given.sum(dim=1).clamp(min=1)
    assert float((known - mean)[many].mean()) == pytest.approx(0.0, abs=0.05)


def test_sources_are_drawn_as_often_as_said():
    sources = [source(PLANE, tasks=1), source(tasks=9)]
    for shares, wanted in (((), 0.75), ((1.0, 1.0), 0.5), ((0.0, 2.0), 1.0)):
        episodes = Episodes(sources, READER, batch=1, shares=shares)
        found = [batch(episodes, s).query.tokens.shape[2] == 3 for s in range(200)]
        assert np.mean(found) == pytest.approx(wanted, abs=0.1)


def test_a_source_without_tasks_is_never_drawn():
    empty = PriorTasks(Pool(PLANE, configs(PLANE, 5)), (), np.zeros((0, 5)))
    episodes = Episodes([empty, source()], READER, batch=2)
    assert all(batch(episodes, s).query.tokens.shape[2] == 3 for s in range(20))


def test_tasks_without_features_are_read_as_unknown():
    family = SyntheticFamily.draw(0, CONDITIONAL)
    query = batch(Episodes([prior_tasks(family, tasks=3, configs=30, seed=0)], READER)).query
    assert query.features.shape == (16, 2)
    assert not query.features.any()
    assert torch.isfinite(query.losses).all()
