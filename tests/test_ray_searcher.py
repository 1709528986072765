"""ray_searcher driven by hand, as Ray's Tuner drives it, without a cluster."""

import json
import math
import pickle
import subprocess
import sys

import numpy as np
import optuna
import pandas as pd
import pytest

tune = pytest.importorskip("ray.tune", reason="Ray Tune is not installed (extra 'ray')")

from ray.tune.search import ConcurrencyLimiter, Searcher  # noqa: E402 (only with ray)

import autometa  # noqa: E402
from autometa.errors import InputError, RunError, SpaceError  # noqa: E402
from autometa.policies.prospects import Prospects  # noqa: E402
from tests.searches import CONDITIONAL, PLANE, bowl, searched  # noqa: E402

RAY = {"x": tune.uniform(0.0, 1.0), "inner": {"k": tune.randint(1, 9)}, "kind": tune.choice(["a", "b"])}


def loss_of(config):
    """Of a config of the conditional space: small for trees of little depth."""
    return abs(math.log10(config["rate"]) + 2) + (0.1 * config["depth"] if config["algorithm"] == "tree" else 1.0)


class Driver:
    """Tells outcomes `lag` trials late: so many are under way at once. Each kind of end comes up."""

    def __init__(self, searcher, loss, lag=4):
        self.searcher, self.loss, self.lag = searcher, loss, lag
        self.configs = []

    def __call__(self, count):
        for _ in range(count):
            number = len(self.configs)
            self.configs.append(self.searcher.suggest(f"t{number}"))
            if number >= self.lag:
                self.end(number - self.lag)
        return self.configs

    def end(self, number):
        name, loss = f"t{number}", self.loss(self.configs[number])
        final = 3 if number % 3 else 1  # every third one is stopped early
        for step in range(1, final + 1):
            result = {"loss": loss + 1 / step, "training_iteration": step}
            if number % 10 == 4 and step == final:
                result["loss"] = math.nan
            if number % 20 == 5:
                self.searcher.on_trial_complete(name, error=True)
                return
            if step < final or number % 3:
                self.searcher.on_trial_result(name, result)
        self.searcher.on_trial_complete(name, result)


def a_searcher(space=CONDITIONAL, **given):
    return autometa.ray_searcher(space, "loss", "min", **({"seed": 0} | given))


def states(searcher):
    return {name: run["state"] for name, run in searcher.get_state()["sweep"]["runs"].items()}


def test_it_is_a_searcher_of_rays():
    searcher = a_searcher()
    assert isinstance(searcher, Searcher)
    assert (searcher.metric, searcher.mode) == ("loss", "min")


def test_suggestions_are_of_the_space_and_all_different():
    found = Driver(a_searcher(), loss_of)(40)
    assert all(CONDITIONAL.has(config) for config in found)
    assert len({json.dumps(config, sort_keys=True) for config in found}) == 40


def test_it_gets_near_the_best():
    best = []
    for seed in range(3):
        searcher, losses = a_searcher(PLANE, seed=seed), []
        for number in range(30):
            losses.append(bowl()(searcher.suggest(f"t{number}")))
            searcher.on_trial_complete(f"t{number}", {"loss": losses[-1], "training_iteration": 1})
        best.append(min(losses))
    assert np.median(best) < 0.001  # at random: 0.007


@pytest.mark.parametrize("parts", [(1, 30), (17, 14), (30, 1)])
@pytest.mark.parametrize("lag", [1, 6])
def test_a_restored_searcher_goes_on_as_if_nothing_had_happened(parts, lag, tmp_path):
    whole = Driver(a_searcher(), loss_of, lag)(sum(parts))
    first = Driver(a_searcher(), loss_of, lag)
    first(parts[0])
    first.searcher.save(str(tmp_path / "state"))
    second = Driver(a_searcher(seed=9), loss_of, lag)  # the seed is part of what is saved
    second.searcher.restore(str(tmp_path / "state"))
    second.configs = first.configs
    assert second(parts[1]) == whole


def test_saving_anywhere_changes_nothing(tmp_path):
    whole = Driver(a_searcher(RAY), lambda c: c["x"], lag=3)(12)
    driver = Driver(a_searcher(RAY), lambda c: c["x"], lag=3)
    for _ in range(12):
        driver(1)
        driver.searcher.save_to_dir(str(tmp_path), "now")
        driver.searcher = pickle.loads(pickle.dumps(driver.searcher))
        driver.searcher.restore_from_dir(str(tmp_path))
    assert driver.configs == whole
    assert [p.name for p in tmp_path.iterdir()] == ["searcher-state-now.json"]


def test_what_is_saved_is_json_and_holds_no_code(tmp_path):
    driver = Driver(a_searcher(), loss_of)
    driver(12)
    driver.searcher.save(str(tmp_path / "state"))
    state = json.loads((tmp_path / "state").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert state["sweep"]["runs"].keys() == {f"t{i}" for i in range(12)}


def test_the_space_of_the_tuner_is_restored_with_the_searcher(tmp_path):
    first = autometa.ray_searcher(seed=0)
    assert first.set_search_properties("loss", "max", {**RAY, "constant": 3})
    suggested = first.suggest("t0")
    assert suggested.keys() == RAY.keys()
    first.save(str(tmp_path / "state"))
    blank = autometa.ray_searcher()
    blank.restore(str(tmp_path / "state"))
    assert (blank.metric, blank.mode) == ("loss", "max")
    assert blank.suggest("t1") == first.suggest("t1")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"space": PLANE}, "space"),
        ({"sources": [searched(CONDITIONAL, loss_of, 5)]}, "sources"),
        ({"metric": "other"}, "metric"),
        ({"mode": "max"}, "mode"),
    ],
)
def test_another_search_is_not_gone_on_with(given, message, tmp_path):
    a_searcher().save(str(tmp_path / "state"))
    other = autometa.ray_searcher(**({"space": CONDITIONAL, "metric": "loss", "mode": "min"} | given))
    with pytest.raises(InputError, match=f"goes on with the {message}"):
        other.restore(str(tmp_path / "state"))


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"format": 99}', "\x80"])
def test_a_file_that_is_no_searcher_is_refused(content, tmp_path):
    path = tmp_path / "state"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match="state"):
        a_searcher().restore(str(path))


def test_trials_under_way_are_not_proposed_again():
    searcher = a_searcher(PLANE)
    found = [searcher.suggest(f"t{i}") for i in range(30)]
    assert len({json.dumps(c) for c in found}) == 30
    assert [t.state for t in searcher._sweep.task().history] == ["running"] * 30


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"loss": math.nan, "training_iteration": 1}, False),
        ({"loss": math.inf, "training_iteration": 1}, False),
        ({"loss": -math.inf, "training_iteration": 1}, False),
        ({"loss": None, "training_iteration": 1}, False),
        ({"loss": "high", "training_iteration": 1}, False),
        ({"training_iteration": 1}, False),
        ({"loss": 0.1, "training_iteration": 1}, True),
        ({}, False),
        (None, False),
        (None, True),
    ],
)
@pytest.mark.parametrize("told", [False, True])
def test_an_outcome_that_is_no_number_is_a_failure(result, error, told):
    searcher = a_searcher(PLANE)
    searcher.suggest("t0")
    if told and result:
        searcher.on_trial_result("t0", result)
    searcher.on_trial_complete("t0", result, error)
    (trial,) = searcher._sweep.task().history
    assert trial.state == "failed"
    assert math.isnan(trial.loss)
    assert searcher.suggest("t1")


def stopped_at(searcher, name, losses, *, last=None):
    """A trial that reports these losses by step; who stops it does so for the one that comes last."""
    for step, loss in enumerate(losses, 1):
        if last is None or step < len(losses):
            searcher.on_trial_result(name, {"loss": loss, "training_iteration": step})
    searcher.on_trial_complete(name, {"loss": losses[-1], "training_iteration": len(losses)})


def test_a_trial_that_is_stopped_goes_on_as_others_did():
    searcher = a_searcher(PLANE)
    for name in "abcde":
        searcher.suggest(name)
    stopped_at(searcher, "a", [3.0, 2.0, 1.0])
    stopped_at(searcher, "b", [4.0, 3.0, 2.5])
    stopped_at(searcher, "c", [5.0], last="stopped")
    stopped_at(searcher, "d", [6.0, 5.0, 4.0], last="stopped")
    stopped_at(searcher, "e", [7.0, math.nan], last="stopped")
    assert list(states(searcher).values()) == ["complete", "complete", "stopped", "stopped", "stopped"]
    history = searcher._sweep.task().history
    assert [t.state for t in history] == ["complete", "complete", "pruned", "pruned", "failed"]
    prospects = Prospects(history)  # gains from the first step: 2.0, 1.5, 2.0
    assert [prospects.loss(t) for t in history[2:4]] == [5.0 - 2.0, 4.0]


def test_a_trial_that_is_stopped_before_it_has_said_anything_has_failed():
    searcher = a_searcher(PLANE)
    searcher.suggest("t0")
    searcher.on_trial_complete("t0")
    assert searcher._sweep.task().history[0].state == "failed"


def test_a_trial_that_ends_without_a_step_is_complete():
    searcher = a_searcher(PLANE)
    searcher.suggest("t0")
    searcher.on_trial_complete("t0", {"loss": 1.0})
    assert states(searcher) == {"t0": "complete"}


def test_the_sign_flips_at_the_edge():
    searcher = autometa.ray_searcher(PLANE, "score", "max", seed=0)
    searcher.suggest("t0")
    result = {"score": 3.0, "training_iteration": 1}
    searcher.on_trial_result("t0", result)
    searcher.on_trial_complete("t0", result)
    assert searcher._sweep.task().history[0].loss == -3.0


def test_numbers_of_other_libraries_are_numbers():
    searcher = a_searcher(PLANE)
    searcher.suggest("t0")
    searcher.on_trial_complete("t0", {"loss": np.float32(0.5)})
    assert searcher._sweep.task().best.loss == 0.5
    json.dumps(searcher.get_state())


def test_unknown_trials_are_none_of_ours():
    searcher = a_searcher()
    searcher.on_trial_result("other", {"loss": 1.0, "training_iteration": 1})
    searcher.on_trial_complete("other", {"loss": 1.0, "training_iteration": 1})
    searcher.on_trial_complete("other", error=True)
    assert states(searcher) == {}


def test_a_failed_trial_that_the_tuner_starts_again_counts():
    searcher = autometa.ray_searcher(metric="loss", mode="min", seed=0)
    searcher.set_search_properties(None, None, {**RAY, "constant": 3})
    config = searcher.suggest("t0")
    searcher.on_trial_complete("t0", error=True)
    result = {"loss": 0.5, "training_iteration": 1, "config/constant": 3}
    result |= {f"config/{k}": v for k, v in config.items() if k != "inner"}
    searcher.on_trial_result("again", result | {"config/inner/k": config["inner"]["k"]})
    searcher.on_trial_complete("again", result | {"config/inner/k": config["inner"]["k"]})
    assert states(searcher) == {"t0": "failed", "again": "complete"}


def test_a_failed_trial_that_goes_on_under_its_name_counts():
    searcher = a_searcher(PLANE)
    searcher.suggest("t0")
    searcher.on_trial_complete("t0", error=True)
    searcher.on_trial_result("t0", {"loss": 0.5, "training_iteration": 1})
    assert states(searcher) == {"t0": "running"}
    searcher.on_trial_complete("t0", {"loss": 0.5, "training_iteration": 1})
    assert states(searcher) == {"t0": "complete"}


# Points


def test_points_come_first_in_conditional_spaces_too():
    points = [
        {"algorithm": "net", "rate": 0.01, "width": 3.0},
        {"algorithm": "tree"},
        {"depth": 7},
        {"rate": 0.5},
    ]
    searcher = a_searcher(points_to_evaluate=points)
    found = [searcher.suggest(f"t{i}") for i in range(6)]
    assert found[0] == points[0]
    assert all(CONDITIONAL.has(config) for config in found)
    for config, point in zip(found, points, strict=False):
        assert config.items() >= point.items()


def test_points_wait_for_the_space_and_may_hold_its_constants():
    searcher = autometa.ray_searcher(metric="loss", mode="min", points_to_evaluate=[{"x": 0.5, "constant": 3}], seed=0)
    searcher.set_search_properties(None, None, {**RAY, "constant": 3})
    assert pickle.loads(pickle.dumps(searcher)).suggest("t0") == searcher.suggest("t0")
    assert searcher._sweep.runs["t0"].config["x"] == 0.5


@pytest.mark.parametrize("point", [{"algorithm": "forest"}, {"rate": 7.0}, {"rates": 0.1}])
def test_a_point_outside_the_space_is_refused(point):
    with pytest.raises(SpaceError, match=next(iter(point))):
        a_searcher(points_to_evaluate=[point])


def test_a_sweep_may_begin_with_trials_from_elsewhere():
    searcher = autometa.ray_searcher(PLANE, "score", "max", seed=0)
    searcher.add_evaluated_point({"x": 0.5, "y": 0.5}, 2.0)
    searcher.add_evaluated_point({"x": 0.6, "y": 0.5, "constant": 3}, math.nan)
    searcher.add_evaluated_point({"x": 0.7, "y": 0.5}, 1.0, error=True)
    searcher.add_evaluated_point({"x": 0.8, "y": 0.5}, 1.0, pruned=True, intermediate_values=[0.5, 1.0])
    trials = searcher._sweep.task().history
    assert [t.state for t in trials[:3]] == ["complete", "failed", "failed"]
    assert trials[0].loss == -2.0
    with pytest.raises(SpaceError, match="'y'"):
        searcher.add_evaluated_point({"x": 0.5}, 2.0)


# Where space, metric and mode come from


def test_metric_and_mode_come_from_the_tuner_also_with_a_space_of_ones_own():
    searcher = autometa.ray_searcher(PLANE, seed=0)
    assert searcher.set_search_properties("loss", "min", {"constant": 3})
    assert (searcher.metric, searcher.mode) == ("loss", "min")
    assert searcher.suggest("t0").keys() == {"x", "y"}


def test_two_search_spaces_are_one_too_many():
    assert not a_searcher().set_search_properties(None, None, RAY)
    assert a_searcher(RAY).set_search_properties(None, None, RAY)


@pytest.mark.parametrize(
    ("space", "metric", "mode", "message"),
    [
        (None, "loss", "min", "search space"),
        (PLANE, None, None, "metric and a mode"),
        (PLANE, "loss", None, "metric and a mode"),
    ],
)
def test_what_is_missing_is_said_when_it_is_needed(space, metric, mode, message):
    searcher = autometa.ray_searcher(space, metric, mode)
    with pytest.raises(InputError, match=message):
        searcher.suggest("t0")
    with pytest.raises(InputError, match=message):
        searcher.add_evaluated_point({"x": 0.5, "y": 0.5}, 1.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": ["a", "b"], "mode": "min"}, "one metric"),
        ({"metric": "a", "mode": "minimise"}, "the mode is"),
        ({"seed": -1}, "seed"),
        ({"sources": "study"}, "sources"),
    ],
)
def test_bad_arguments_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        autometa.ray_searcher(PLANE, **given)


def test_other_kinds_of_spaces_are_taken_as_meta_sampler_takes_them():
    flat = {
        "x": optuna.distributions.FloatDistribution(0, 1, step=0.5),
        "y": optuna.distributions.IntDistribution(1, 3),
    }
    searcher = a_searcher(flat)
    found = [searcher.suggest(f"t{i}") for i in range(9)]
    assert len({json.dumps(c) for c in found}) == 9  # all there are, each once
    assert {c["x"] for c in found} == {0.0, 0.5, 1.0}
    assert searcher.suggest("t9") in found
    assert "algorithm" in a_searcher("tabular").suggest("t0")


def test_data_and_sources_teach():
    frame = pd.DataFrame({"a": range(40), "target": [0, 1] * 20})
    past = [searched(PLANE, bowl(0.3, 0.7), 25, seed=s, name=f"past {s}") for s in range(3)]
    searcher = a_searcher(PLANE, data=frame, sources=past)
    assert searcher._sweep.task().features["rows"] == 40
    again = pickle.loads(pickle.dumps(searcher))
    suggested = searcher.suggest("t0")
    assert bowl()(suggested) < 0.05
    assert again.suggest("t0") == suggested


def test_a_limit_on_concurrency_is_rays_business():
    limited = ConcurrencyLimiter(a_searcher(PLANE), max_concurrent=2)
    assert limited.suggest("t0")
    assert limited.suggest("t1")
    assert limited.suggest("t2") is None
    limited.on_trial_complete("t0", {"loss": 1.0})
    assert limited.suggest("t2")


def test_without_ray_the_cure_is_said():
    code = (
        "import sys; sys.modules['ray'] = None; sys.modules['ray.tune'] = None\n"
        "import autometa\ntry:\n    autometa.ray_searcher('tabular')\n"
        "except autometa.errors.MissingExtraError as error:\n    print(error)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'autometa[ray]'" in child.stdout, child.stderr
