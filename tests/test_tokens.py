"""Tokens say the same of a hyperparameter wherever it stands, and the same in every process."""

import hashlib
import itertools
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autometa.parameters import Categorical, Float, Int
from autometa.policies.text_embedding import embedding, words
from autometa.policies.tokens import CHOICE, NAME, PLACE, SPACE_WIDTH, VALUE_WIDTH, describe, tokens
from autometa.pool import Pool
from autometa.space import Space, shipped_spaces

ROOT = Path(__file__).parents[1]
TABULAR = Space.load("tabular")
NESTED = Space(
    "nested",
    (
        Categorical(name="algorithm", choices=("tree", "net"), default="net"),
        Float(name="learning_rate", low=1e-4, high=1.0, log=True, default=1e-2),
        Int(name="depth", low=1, high=4, default=2, when=("algorithm", ("tree",))),
        Categorical(name="width", choices=(64, 16, 32), default=32, when=("algorithm", ("net",))),
        Float(name="dropout", low=0.0, high=0.5, default=0.1, when=("width", (64, 32))),
        Categorical(name="bias", choices=(True, 1, "1"), default=1),
    ),
)


def pool_of(space, configs=50, seed=0):
    rng = np.random.default_rng(seed)
    return Pool(space, [space.sample(rng) for _ in range(configs)])


def orders_of(space):
    """Every order of the hyperparameters in which conditions still follow what they name."""
    for order in itertools.permutations(space):
        place = {p.name: i for i, p in enumerate(order)}
        if all(p.when is None or place[p.when[0]] < place[p.name] for p in order):
            yield replace(space, parameters=order)


ORDERS = list(orders_of(NESTED))


def cosine(one, other):
    return float(embedding(one, NAME) @ embedding(other, NAME))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("lightgbm_learning_rate", ["lightgbm", "learning", "rate"]),
        ("lr", ["learning", "rate"]),
        ("minChildWeight", ["min", "child", "weight"]),
        ("l2-reg.lambda", ["l", "2", "reg", "lambda"]),
        ("SVM", ["svm"]),
        ("größe_2", ["größe", "2"]),
        ("%", []),
    ],
)
def test_names_are_split_into_words(name, parts):
    assert words(name) == parts


@pytest.mark.parametrize("alike", ["lightgbm_learning_rate", "lr", "learningRate", "eta", "network.learning-rate"])
@pytest.mark.parametrize("other", ["max_depth", "subsample", "neighbours_k", "reg_alpha"])
def test_names_that_share_words_lie_nearer(alike, other):
    assert cosine("learning_rate", alike) > 0.6 > cosine("learning_rate", other)


def test_relatives_of_a_word_lie_nearer():
    assert cosine("regularization", "regularisation") > cosine("regularization", "subsample") + 0.2


@given(text=st.text(), width=st.sampled_from([CHOICE, NAME]))
def test_every_text_has_a_place_on_the_sphere(text, width):
    assert np.linalg.norm(embedding(text, width)) == pytest.approx(1.0)


def test_choices_that_only_look_alike_differ():
    pool = Pool(NESTED, [NESTED.complete({"bias": bias}) for bias in (True, 1, "1")])
    told = tokens(pool).values[:, -1]
    assert len({row.tobytes() for row in told}) == 3
    assert told[:, -1].tolist() == [0.0, 1.0, 0.0]  # 1 is the default, True is not


def test_a_token_is_worked_out_by_hand():
    config = NESTED.complete({"learning_rate": 1e-3, "algorithm": "tree", "depth": 4})
    told = tokens(Pool(NESTED, [config]))
    assert told.active[0].tolist() == [True, True, True, False, False, True]
    assert told.values.shape == (1, 6, VALUE_WIDTH)
    rate = told.values[0, 1]
    angle = 2 * np.pi / 4  # a quarter of the way on its logarithmic scale
    place = [-0.25, 0.0625, np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)]
    np.testing.assert_allclose(rate[:PLACE], place, atol=1e-6)
    assert not rate[PLACE:].any()
    np.testing.assert_allclose(told.values[0, 0, PLACE:-1], embedding("'tree'", CHOICE), rtol=1e-6)
    assert not told.values[0, 0, :PLACE].any()  # words have no order
    assert not told.values[~told.active].any()


def test_number_choices_keep_their_order():
    pool = Pool(NESTED, [NESTED.complete({"algorithm": "net", "width": width}) for width in (16, 32, 64)])
    width = tokens(pool).values[:, 3]
    np.testing.assert_allclose(width[:, 0], [-1 / 3, 0.0, 1 / 3], atol=1e-6)
    assert width[:, -1].tolist() == [0.0, 1.0, 0.0]


def test_a_description_is_worked_out_by_hand():
    told = describe(NESTED)
    assert told.shape == (6, SPACE_WIDTH)
    kinds = told[:, :3].argmax(axis=1).tolist()
    assert kinds == [2, 0, 1, 2, 0, 2]
    log, extent, conditional, depth = told[:, 3:7].T
    assert log.tolist() == [0, 1, 0, 0, 0, 0]
    np.testing.assert_allclose(extent, [0.1, 1.0, 0.2, np.log2(3) / 10, 1.0, np.log2(3) / 10], rtol=1e-6)
    assert conditional.tolist() == [0, 0, 1, 1, 1, 0]
    assert depth.tolist() == [0, 0, 0.5, 0.5, 1.0, 0]
    np.testing.assert_allclose(told[1, 7:], embedding("learning_rate", NAME), rtol=1e-6)


@given(other=st.sampled_from(ORDERS), seed=st.integers(0, 2**32 - 1))
def test_another_order_gives_the_same_tokens_in_that_order(other, seed):
    pool = pool_of(NESTED, 5, seed)
    here, there = tokens(pool), tokens(Pool(other, pool.configs))
    names = [p.name for p in NESTED]
    order = [names.index(p.name) for p in other]
    np.testing.assert_array_equal(there.space, here.space[order])
    np.testing.assert_array_equal(there.values, here.values[:, order])
    np.testing.assert_array_equal(there.active, here.active[:, order])


@given(seed=st.integers(0, 2**32 - 1))
def test_a_hyperparameter_that_is_not_active_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    configs = [NESTED.sample(rng) | {"algorithm": "tree"} for _ in range(5)]
    configs = [NESTED.complete(c) for c in configs]
    wider = replace(
        NESTED, parameters=(*NESTED, Float(name="momentum", low=0, high=1, default=0.9, when=("algorithm", ("net",))))
    )
    here, there = tokens(Pool(NESTED, configs)), tokens(Pool(wider, configs))
    np.testing.assert_array_equal(there.space[:-1], here.space)
    np.testing.assert_array_equal(there.values[:, :-1], here.values)
    assert not there.values[:, -1].any()
    assert not there.active[:, -1].any()


@pytest.mark.parametrize("name", shipped_spaces())
def test_tokens_tell_configs_apart_and_know_the_defaults(name):
    space = Space.load(name)
    pool = Pool(space, [space.complete({}), *pool_of(space, 200)])
    told = tokens(pool)
    assert np.isfinite(told.values).all()
    assert np.abs(told.values).max() <= 1.0
    assert told.values[0, told.active[0], -1].all()
    assert len({row.tobytes() for row in told.values}) == len(pool)


def test_spaces_without_numbers_or_choices_have_tokens_too():
    numbers = Space("numbers", (Float(name="x", low=0, high=1, default=1),))
    choices = Space("choices", (Categorical(name="c", choices=("a", "b"), default="a"),))
    for space in (numbers, choices, Space("none", ())):
        told = tokens(pool_of(space, 3))
        assert told.values.shape == (3, len(space), VALUE_WIDTH)
        assert told.space.shape == (len(space), SPACE_WIDTH)


def digest():
    told = tokens(pool_of(TABULAR, 20))
    return hashlib.sha256(told.space.tobytes() + told.values.tobytes() + told.active.tobytes()).hexdigest()


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_tokens_are_the_same_in_another_process(hash_seed):
    code = "import sys; sys.path.insert(0, 'tests'); from test_tokens import digest; print(digest())"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == digest()


def test_a_thousand_candidates_take_no_time():
    configs = pool_of(TABULAR, 1024).configs
    tokens(Pool(TABULAR, configs[:1]))

    def once():
        start = time.process_time()
        tokens(Pool(TABULAR, configs))
        return time.process_time() - start

    assert min(once() for _ in range(5)) < 0.05


# Packed


@pytest.mark.parametrize("space", [NESTED, TABULAR], ids=lambda s: s.name)
def test_packed_tokens_are_those_that_are_active_in_their_order(space):
    read = tokens(pool_of(space))
    packed, there = read.packed()
    assert packed.shape == (50, read.active.sum(axis=1).max(), SPACE_WIDTH + VALUE_WIDTH)
    for config in range(50):
        active = read.active[config]
        whole = np.concatenate([read.space[active], read.values[config][active]], axis=1)
        assert (packed[config, : active.sum()] == whole).all()
        assert not packed[config, active.sum() :].any()
        assert there[config].tolist() == [1.0] * active.sum() + [0.0] * (packed.shape[1] - active.sum())


def test_no_configs_have_no_packed_tokens():
    packed, there = tokens(Pool(NESTED, [])).packed()
    assert packed.shape == (0, 0, SPACE_WIDTH + VALUE_WIDTH)
    assert there.shape == (0, 0)
