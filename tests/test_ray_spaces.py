"""Ray Tune's search spaces: what is read from them, and configs in their shape."""

import json
import math

import numpy as np
import pytest

tune = pytest.importorskip("ray.tune", reason="Ray Tune is not installed (extra 'ray')")

from autometa.errors import InputError, SpaceError  # noqa: E402 (only with ray)
from autometa.integrations.ray_spaces import RaySpace  # noqa: E402

NESTED = {
    "rate": tune.loguniform(1e-4, 1.0),
    "layers": [tune.randint(1, 9), tune.lograndint(8, 513)],
    "model": {"dropout": tune.quniform(0.0, 0.6, 0.1), "bias": True},
    "optimizer": tune.choice(
        [{"name": "sgd", "momentum": tune.uniform(0.0, 1.0)}, {"name": "adam", "beta": tune.qloguniform(0.01, 1, 0.01)}]
    ),
    "epochs": 7,
}


def drawn(space, count=200, seed=0):
    """Suggestions for random configs."""
    rng = np.random.default_rng(seed)
    found = RaySpace.of(space)
    return [found.suggestion(found.space.sample(rng)) for _ in range(count)]


@pytest.mark.parametrize(
    ("domain", "low", "high", "values"),
    [
        (lambda: tune.uniform(-1.0, 3.0), -1.0, 3.0, None),
        (lambda: tune.loguniform(1e-5, 1.0), 1e-5, 1.0, None),
        (lambda: tune.quniform(0.0, 1.0, 0.25), 0.0, 1.0, {0.0, 0.25, 0.5, 0.75, 1.0}),
        (lambda: tune.qloguniform(0.1, 0.4, 0.1), 0.1, 0.4, {0.1, 0.2, 0.3, 0.4}),
        (lambda: tune.randint(2, 5), 2, 4, {2, 3, 4}),
        (lambda: tune.qrandint(2, 8, 2), 2, 8, {2, 4, 6, 8}),
        (lambda: tune.qrandint(3, 13, 5), 5, 10, {5, 10}),
        (lambda: tune.lograndint(1, 5), 1, 4, {1, 2, 3, 4}),
        (lambda: tune.qlograndint(4, 16, 4), 4, 16, {4, 8, 12, 16}),
        (lambda: tune.choice(["a", None, 3, 2.5]), None, None, {"a", None, 3, 2.5}),
    ],
)
def test_values_are_those_of_the_domain(domain, low, high, values):
    found = [c["v"] for c in drawn({"v": domain()})]
    if low is not None:
        kind = int if isinstance(low, int) else float
        assert all(type(v) is kind and low <= v <= high for v in found)
    if values is not None:
        assert set(found) == values
    assert all(domain().is_valid(v) for v in found)


def test_a_logarithmic_range_is_spread_by_its_logarithm():
    found = [c["v"] for c in drawn({"v": tune.loguniform(1e-4, 1.0)})]
    assert 0.35 < np.mean(np.array(found) < 1e-2) < 0.65


def test_configs_have_the_shape_of_the_space():
    for config in drawn(NESTED):
        assert config["epochs"] == 7
        assert config["model"]["bias"] is True
        assert isinstance(config["layers"], list)
        assert 1 <= config["layers"][0] <= 8
        assert 8 <= config["layers"][1] <= 512
        keys = {"sgd": {"name", "momentum"}, "adam": {"name", "beta"}}
        assert config["optimizer"].keys() == keys[config["optimizer"]["name"]]


def test_a_choice_among_dicts_is_a_condition():
    space = RaySpace.of(NESTED).space
    assert space["optimizer/0/momentum"].when is not None
    assert space["optimizer/0/momentum"].when[0] == "optimizer"
    sizes = {len(space.sample(np.random.default_rng(s))) for s in range(20)}
    assert sizes == {6}  # of seven parameters one of two is active


def test_constants_beside_what_is_searched_can_be_left_to_the_tuner():
    space = RaySpace.of(NESTED).searched
    config = space.suggestion(space.space.sample(np.random.default_rng(0)))
    assert config.keys() == {"rate", "layers", "model", "optimizer"}
    assert config["model"].keys() == {"dropout"}
    assert "name" in config["optimizer"]


def test_choices_may_be_anything():
    choices = [math.sin, np.arange(3), (1, 2), [1, 2], {"a": 1}, True, 1, math.nan, "True", None, RaySpace]
    found = [c["v"] for c in drawn({"v": tune.choice(choices)}, 600)]
    assert all(any(v is c or type(v) is type(c) for c in choices) for v in found)
    assert {type(v) for v in found} == {type(c) for c in choices}
    assert {v for v in found if isinstance(v, bool | int)} == {1}
    assert any(v is True for v in found)


def test_a_choice_that_is_there_twice_counts_once():
    assert len(RaySpace.of({"v": tune.choice([1, 1, 2])}).space["v"].choices) == 2


def test_points_are_read_and_given_back():
    space = RaySpace.of(NESTED)
    for seed in range(50):
        config = space.rounded(space.space.sample(np.random.default_rng(seed)))
        assert space.values(space.suggestion(config)) == config
        assert space.rounded(config) == config


def test_points_may_be_parts():
    space = RaySpace.of(NESTED)
    assert space.values({"optimizer": {"name": "adam"}, "epochs": 7}).keys() == {"optimizer"}
    assert space.values({"model": {"dropout": 0.3}}) == {"model/dropout": 0.3}


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"rat": 0.1}, "'rat'"),
        ({"rate": 2.0}, "'rate' is 2.0"),
        ({"rate": "much"}, "'rate' is 'much'"),
        ({"epochs": 8}, "'epochs' is 8"),
        ({"optimizer": {"name": "lion"}}, "'optimizer'"),
        ({"optimizer": {"name": "adam", "momentum": 0.5}}, "'optimizer'"),
        ({"layers": [1]}, "'layers'"),
        ({"model": 3}, "'model'"),
    ],
)
def test_a_point_outside_is_refused(point, message):
    with pytest.raises(SpaceError, match=message):
        RaySpace.of(NESTED).values(point)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"v": tune.grid_search([1, 2])}, "'v' is tune.grid_search"),
        ({"a": {"v": tune.sample_from(lambda _: 1)}}, "'a/v' is tune.sample_from"),
        ({"v": tune.randn(0.0, 1.0)}, "'v' is drawn by Normal"),
        ({"v": {"eval": "1 + 1"}}, "'v' is an expression"),
        ({"v": 3}, "nothing but constants"),
        ({}, "nothing but constants"),
        ({"v": tune.randint(3, 3)}, "'v' is"),
        ({"a/b": tune.uniform(0, 1), "a": {"b": tune.uniform(0, 1)}}, "'a/b' is there twice"),
    ],
)
def test_what_cannot_be_searched_is_refused(space, message):
    with pytest.raises(SpaceError, match=message):
        RaySpace.of(space)


def test_a_space_of_plain_values_is_kept_as_data():
    space = RaySpace.of({**NESTED, "pair": (tune.choice([None, [1], "a"]), 4)})
    again = RaySpace.from_data(json.loads(json.dumps(space.as_data())))
    assert again.as_data() == space.as_data()
    config = space.space.sample(np.random.default_rng(0))
    assert again.suggestion(config) == space.suggestion(config)


def test_a_space_of_other_things_says_so_when_it_is_read_from_data():
    with pytest.raises(InputError, match="param_space"):
        RaySpace.from_data(RaySpace.of({"v": tune.choice([math.sin, math.cos])}).as_data())
