"""The promises of a space: the way through the unit cube and back, conditions, and clear refusals."""

import dataclasses
import math

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autometa.errors import SpaceError
from autometa.parameters import Categorical, Float, Int
from autometa.space import Space, shipped_spaces

SHIPPED = {name: Space.load(name) for name in shipped_spaces()}


@pytest.mark.parametrize("name", SHIPPED)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_config_survives_the_unit_cube(name, seed):
    space = SHIPPED[name]
    config = space.sample(np.random.default_rng(seed))
    space.check(config)
    unit = space.to_unit(config)
    inside = unit[~np.isnan(unit)]
    assert len(inside) == len(config)
    assert ((inside >= 0) & (inside <= 1)).all()
    assert space.from_unit(unit) == config


@given(
    low=st.floats(1e-8, 1.0),
    factor=st.floats(1.001, 1e8),
    log=st.booleans(),
    place=st.floats(0, 1),
)
def test_a_float_survives_the_unit_interval(low, factor, log, place):
    p = Float(name="x", low=low, high=low * factor, log=log, default=low)
    value = p.from_unit(place)
    assert p.holds(value)
    assert p.from_unit(p.to_unit(value)) == value


@given(low=st.integers(1, 50), span=st.integers(0, 500), log=st.booleans(), data=st.data())
def test_an_int_survives_the_unit_interval(low, span, log, data):
    p = Int(name="n", low=low, high=low + span, log=log, default=low)
    value = data.draw(st.integers(low, low + span))
    assert p.from_unit(p.to_unit(value)) == value
    assert p.from_unit(0.0) == low
    assert p.from_unit(1.0) == low + span


def test_true_and_one_are_different_choices():
    p = Categorical(name="c", choices=(True, 1, "1"), default=True)
    assert [p.from_unit(p.to_unit(c)) for c in p.choices] == [True, 1, "1"]
    assert p.from_unit(p.to_unit(1)) is not True


@pytest.mark.parametrize("value", [["a"], {"a": 1}, math.nan, 1.0, "b", None])
def test_what_is_no_choice_is_refused(value):
    p = Categorical(name="c", choices=("a", 1), default="a")
    assert not p.holds(value)
    with pytest.raises(SpaceError, match="'c' must be one of"):
        p.to_unit(value)


def test_nan_is_no_choice():
    with pytest.raises(SpaceError, match="default"):
        Categorical(name="c", choices=(math.nan, 1.0), default=math.nan)


def test_every_default_is_a_config():
    for space in SHIPPED.values():
        space.check(space.complete({}))


def test_shared_hyperparameters_are_active_for_each_of_their_parents():
    space = Space.load("tabular")
    for algorithm in ("network", "tabm"):
        config = space.complete({"algorithm": algorithm, "network_embedding": "periodic"})
        assert "network_embedding_scale" in config
        assert ("tabm_ensemble_width" in config) == (algorithm == "tabm")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"algorithm": "perceptron"}, "must be one of"),
        ({"lightgbm_num_leaves": 1000}, "must be in"),
        ({"lightgbm_num_leaves": 31.0}, "must be in"),
        ({"catboost_depth": 6}, "inactive"),
        ({"learning_rate": 0.1}, "no parameter"),
    ],
)
def test_a_bad_config_is_refused(change, says):
    space = Space.load("tabular")
    config = space.complete({"algorithm": "lightgbm"}) | change
    with pytest.raises(SpaceError, match=says):
        space.check(config)


def test_a_missing_value_is_refused():
    space = Space.load("tabular")
    config = space.complete({})
    del config["algorithm"]
    with pytest.raises(SpaceError, match="missing"):
        space.check(config)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        (lambda: (Float(name="x", low=0, high=1, log=True, default=1),), "log scale"),
        (lambda: (Float(name="x", low=2, high=1, default=1),), "low <= default"),
        (lambda: (Int(name="x", low=0, high=4, default=9),), "low <= default"),
        (lambda: (Categorical(name="x", choices=(), default=1),), "at least one"),
        (lambda: (Categorical(name="x", choices=(1, 1), default=1),), "different"),
        (lambda: (Categorical(name="x", choices=(1,), default=2),), "default"),
        (lambda: (Int(name="x", low=0, high=1, default=0),) * 2, "twice"),
        (lambda: (Int(name="x", low=0, high=1, default=0, when=("y", (1,))),), "depends"),
        (
            lambda: (
                Categorical(name="y", choices=("a",), default="a"),
                Int(name="x", low=0, high=1, default=0, when=("y", ("b",))),
            ),
            "choices of",
        ),
    ],
)
def test_a_bad_space_is_refused(parameters, says):
    with pytest.raises(SpaceError, match=says):
        Space("bad", parameters())


def test_a_file_may_narrow_a_shipped_space(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "tabular"\n[parameters.algorithm]\nchoices = ["lightgbm", "linear"]\n'
        "[parameters.lightgbm_num_leaves]\nhigh = 15\n"
    )
    space = Space.load(path)
    assert space.name == "mine"
    assert "catboost_depth" not in space
    assert space["lightgbm_num_leaves"].default == 15
    rng = np.random.default_rng(0)
    assert {space.sample(rng)["algorithm"] for _ in range(40)} == {"lightgbm", "linear"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "parameters"),
        ("[parameters.x]\ntype = 'float'\n", "malformed"),
        ("[parameters.x]\ntype = 'real'\nlow = 0\n", "type must be"),
        ("[parameters.x\n", "cannot be read"),
        ("extends = 'tabular'\n[parameters.lightgbm_num_leaves]\nhigh = 1000\n", "lies in"),
        ("extends = 'tabular'\n[parameters.lightgbm_leaves]\nhigh = 10\n", "num_leaves"),
        ("extends = 'nowhere'\n", "is a .toml file or one of"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, says):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(SpaceError, match=says):
        Space.load(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(SpaceError, match="does not exist"):
        Space.load(tmp_path / "none.toml")


def test_fit_clips_numbers_and_refuses_choices():
    space = Space.load("tabular").restrict(
        {"lightgbm_num_leaves": {"high": 15}, "algorithm": {"choices": ["lightgbm"]}}
    )
    assert space.fit({"algorithm": "lightgbm", "lightgbm_num_leaves": 31})["lightgbm_num_leaves"] == 15
    assert space.fit({"algorithm": "catboost"}) is None


def test_optuna_samples_the_space_and_reads_its_distributions():
    space = Space.load("tabular")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        config = space.suggest(trial)
        space.check(config)
        assert set(space.distributions(config)) == set(config)
        assert trial.params == pytest.approx(config)


def test_a_space_can_be_made_from_optuna_distributions():
    d = optuna.distributions
    space = Space.from_optuna(
        {
            "lr": d.FloatDistribution(1e-5, 1e-1, log=True),
            "layers": d.IntDistribution(1, 4),
            "width": d.IntDistribution(32, 128, step=32),
            "act": d.CategoricalDistribution(("relu", "tanh")),
        }
    )
    assert space["width"].choices == (32, 64, 96, 128)
    config = space.sample(np.random.default_rng(0))
    assert space.from_unit(space.to_unit(config)) == config
    with pytest.raises(SpaceError, match="choices must be"):
        Space.from_optuna({"x": d.CategoricalDistribution((None, "a"))})


def test_no_global_generator_is_touched():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    Space.load("tabular").sample(np.random.default_rng(0))
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_inactive_coordinates_are_nan():
    space = Space.load("tabular")
    unit = space.to_unit(space.complete({"algorithm": "linear"}))
    names = [p.name for p in space]
    assert math.isnan(unit[names.index("catboost_depth")])
    assert not math.isnan(unit[names.index("linear_C")])


@pytest.mark.parametrize("name", shipped_spaces())
def test_places_of_many_configs_are_those_of_each(name):
    space = Space.load(name)
    rng = np.random.default_rng(0)
    many = [space.sample(rng) for _ in range(20)]
    assert np.array_equal(space.to_units(many), [space.to_unit(c) for c in many], equal_nan=True)
    assert space.to_units([]).shape == (0, len(space))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_space_comes_back_from_its_own_file(tmp_path, name):
    path = tmp_path / "space.toml"
    narrowed = SHIPPED[name].restrict({"algorithm": {"choices": ["catboost", "tabm"]}})
    for space in (SHIPPED[name], narrowed, dataclasses.replace(narrowed, fidelity="algorithm")):
        path.write_text(space.to_toml())
        assert Space.load(path) == space
