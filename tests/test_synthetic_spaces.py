"""Random spaces are spaces, look like those people search, and are the same in every process."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autometa.metatrain.synthetic_spaces import FEWEST, FEWEST_CONFIGS, MOST, synthetic_space
from autometa.metatrain.vocabulary import CHOICES, RANGES, RATE, ROOTS
from autometa.parameters import Categorical, Float, Int
from autometa.policies.text_embedding import words

ROOT = Path(__file__).parents[1]
MANY = [synthetic_space(seed) for seed in range(300)]
ALL = [p for space in MANY for p in space]


def depth(space, p):
    return 0 if p.when is None else 1 + depth(space, space[p.when[0]])


@given(seed=st.integers(0, 2**63))
def test_every_config_of_every_space_is_valid(seed):
    space = synthetic_space(seed)
    assert FEWEST <= len(space) <= MOST
    assert max(depth(space, p) for p in space) <= 2
    space.check(space.complete({}))
    rng = np.random.default_rng(seed)
    for _ in range(5):
        config = space.sample(rng)
        space.check(config)
        assert space.from_unit(space.to_unit(config)) == config


def test_there_is_something_to_search_in_each():
    rng = np.random.default_rng(0)
    for space in MANY[:50]:
        drawn = {tuple(space.sample(rng).items()) for _ in range(20 * FEWEST_CONFIGS)}
        assert len(drawn) > FEWEST_CONFIGS / 4


def test_spaces_are_of_all_kinds():
    depths = np.array([max(depth(space, p) for p in space) for space in MANY])
    assert 0.35 < (depths > 0).mean() < 0.6
    assert (depths == 2).sum() > 20
    assert {len(space) for space in MANY} == set(range(FEWEST, MOST + 1))
    assert {type(p) for p in ALL} == {Float, Int, Categorical}
    assert {(type(p), p.log) for p in ALL if not isinstance(p, Categorical)} == set(
        itertools.product((Float, Int), (True, False))
    )
    kinds = {tuple(sorted({type(c).__name__ for c in p.choices})) for p in ALL if isinstance(p, Categorical)}
    assert kinds == {("str",), ("bool",), ("int",)}
    assert {len(p.choices) for p in ALL if isinstance(p, Categorical)} == set(range(2, 7))


def test_names_mean_something():
    rates = [p for p in ALL if words(p.name)[-2:] == ["learning", "rate"]]
    assert len(rates) > 30
    assert all(isinstance(p, Float) and p.log and p.high <= RATE.high[1] for p in rates)
    known = {*RANGES, *CHOICES, *ROOTS}
    heard = np.mean([any(p.name.endswith(name) for name in known) for p in ALL])
    assert 0.6 < heard < 0.9


def test_defaults_are_not_all_in_the_middle():
    places = np.array([p.to_unit(p.default) for p in ALL if isinstance(p, Float)])
    middle = np.isclose(places, 0.5)
    assert 0.3 < middle.mean() < 0.6
    assert (np.abs(places - 0.5) > 0.49).sum() > 10


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_spaces_are_the_same_in_another_process(hash_seed):
    code = "from autometa.metatrain.synthetic_spaces import synthetic_space as s; print([s(i) for i in range(20)])"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == str(MANY[:20])
