"""The time model: it finds a law that is there, stays sane where nothing was recorded, and learns from what it sees."""

import json
import math

import numpy as np
import pytest

from autometa.errors import ModelError, SpaceError
from autometa.records import time_model
from autometa.records.card import Card, Dataset
from autometa.records.own_writing import write_own
from autometa.records.time_model import Law, Shape, TimeModel, short_fit
from autometa.space import Space
from autometa.tables.learners import network
from benchmarks.time_model import LIMITS, PRIORS, Timing, fit, read

SPACE = Space.load("tabular")
USUAL = Shape(1_000, 12, 4, 2)
SOME = ("lightgbm", "random_forest", "nearest_neighbours", "network")


def default(algorithm):
    return SPACE.complete({"algorithm": algorithm})


def shapes(rng, n):
    for _ in range(n):
        rows, numbers, categories = (int(v) for v in np.exp(rng.uniform(np.log([60, 2, 1]), np.log([2_000, 60, 20]))))
        yield Shape(rows, numbers, categories, int(rng.choice([0, 2, 5])))


def known_laws(seed=0):
    """Laws near the priors, as nature might have them."""
    rng = np.random.default_rng(seed)
    laws = {}
    for name in SOME:
        exponents = {}
        for term, prior in PRIORS[name].items():
            low, high = LIMITS.get(term, (-2.0, 2.0))
            exponents[term] = float(np.clip(prior + 0.2 * rng.standard_normal(), low, high))
        law = Law(0.0, 0.0, exponents)
        laws[name] = Law(1e-4, math.log(0.1 / law.seconds(default(name), USUAL)), exponents)
    return laws


def timings_of(laws, n, *, noise=0.0, table=0.0, limit=math.inf, seed=1):
    """What a recording of n tables, with six configs of each algorithm, finds under the laws."""
    rng = np.random.default_rng(seed)
    found = []
    for i, shape in enumerate(shapes(rng, n)):
        slow = table * rng.standard_normal()
        for name, law in laws.items():
            for _ in range(6):
                config = SPACE.restrict({"algorithm": {"choices": [name]}}).sample(rng)
                seconds = law.seconds(config, shape) * math.exp(slow + noise * rng.standard_normal())
                ended = seconds < limit
                found.append(Timing(f"t{i}", f"t{i}", config, shape, min(seconds, limit), ended))
    return found


def errors(model, timings):
    return np.array([math.log(model.seconds(t.config, t.shape) / t.seconds) for t in timings])


def test_a_law_that_is_there_is_found():
    laws = known_laws()
    model = fit(timings_of(laws, 120))
    assert np.abs(errors(model, timings_of(laws, 20, seed=2))).max() < math.log(1.05)


def test_noise_is_averaged_and_told():
    laws = known_laws()
    model = fit(timings_of(laws, 120, noise=0.3))
    assert np.median(np.abs(errors(model, timings_of(laws, 20, seed=2)))) < math.log(1.1)
    assert [model.laws[name].spread for name in SOME] == pytest.approx([0.3] * 4, rel=0.2)


def test_fits_that_a_limit_ended_do_not_make_the_others_look_short():
    laws = known_laws()
    recorded = timings_of(laws, 120, noise=0.3, limit=0.15)
    assert 0.1 < np.mean([not t.ended for t in recorded]) < 0.5
    left = errors(fit(recorded), timings_of(laws, 20, seed=2))
    assert abs(left.mean()) < math.log(1.1)
    taken_at_their_word = errors(fit([Timing(**(vars(t) | {"ended": True})) for t in recorded]), timings_of(laws, 20))
    assert taken_at_their_word.mean() < left.mean() - 0.1


def test_fits_that_were_seen_on_a_table_correct_the_others():
    laws = known_laws()
    model = fit(timings_of(laws, 120, noise=0.1, table=0.8))
    before, after, inside = [], [], []
    tests = timings_of(laws, 40, noise=0.1, table=0.8, seed=3)
    for t in tests:
        seen = [(s.config, s.seconds) for s in tests if s.table == t.table and s.config is not t.config][:3]
        before.append(abs(math.log(model.seconds(t.config, t.shape) / t.seconds)))
        after.append(abs(math.log(model.seconds(t.config, t.shape, seen=seen) / t.seconds)))
        inside.append(t.seconds <= model.seconds(t.config, t.shape, seen=seen, quantile=0.8))
    assert np.median(after) < 0.35 * np.median(before)
    assert 0.7 < np.mean(inside) < 0.9


def test_the_machine_is_a_factor_of_everything():
    model = fit(timings_of(known_laws(), 40, noise=0.1, table=0.5))
    config, seen = default("lightgbm"), [(default("network"), 0.7)]
    slow = [(one, 3.0 * took) for one, took in seen]
    here = model.seconds(config, USUAL, seen=seen)
    assert model.seconds(config, USUAL, seen=slow, factor=3.0) == pytest.approx(3.0 * here)


@pytest.fixture(scope="module")
def shipped():
    return TimeModel.shipped()


def test_the_shipped_model_knows_every_branch_and_is_sane(shipped):
    assert set(shipped.laws) == set(SPACE["algorithm"].choices)
    assert shipped.card["space"] == SPACE.version
    for name in shipped.laws:
        for shape in (USUAL, Shape(1_000, 12, 4, 0), Shape(1_000, 0, 16, 6)):
            assert 0.002 < shipped.seconds(default(name), shape) < 20.0, name


@pytest.mark.parametrize("shape", [Shape(1, 1, 0, 0), Shape(1e6, 20, 5, 2), Shape(1e6, 2_000, 50, 100)])
def test_it_stays_finite_far_from_what_was_recorded(shipped, shape):
    rng = np.random.default_rng(0)
    for config in [*(default(name) for name in shipped.laws), *(SPACE.sample(rng) for _ in range(50))]:
        seconds = shipped.seconds(config, shape, quantile=0.95)
        assert 0.0 < seconds < 1e9


def test_more_rows_take_longer(shipped):
    for name in shipped.laws:
        rows = [100, 300, 1_000, 3_000, 30_000, 100_000, 1_000_000]
        took = [shipped.seconds(default(name), Shape(n, 12, 4, 2)) for n in rows]
        # Forests of large tables have fewer trees, and trees of larger ones no more rows.
        assert took == sorted(took), name
        assert took[-1] < 1e5 * took[2], name


def test_quantiles_are_ordered(shipped):
    for name in shipped.laws:
        took = [shipped.seconds(default(name), USUAL, quantile=q) for q in (0.05, 0.2, 0.5, 0.8, 0.95)]
        assert took == sorted(took)
        assert took[0] < took[-1]


def test_what_was_seen_narrows_the_quantiles(shipped):
    config, seen = default("catboost"), [(default("lightgbm"), shipped.seconds(default("lightgbm"), USUAL))]
    wide, narrow = (
        shipped.seconds(config, USUAL, quantile=0.9, seen=s) / shipped.seconds(config, USUAL, seen=s)
        for s in ([], seen)
    )
    assert 1.0 < narrow < wide


def test_what_it_does_not_know_is_an_error(shipped):
    with pytest.raises(SpaceError, match="does not know 'perceptron'"):
        shipped.seconds({"algorithm": "perceptron"}, USUAL)
    with pytest.raises(SpaceError, match="'lightgbm_num_leaves' is missing"):
        shipped.seconds({k: v for k, v in default("lightgbm").items() if k != "lightgbm_num_leaves"}, USUAL)


def test_a_model_survives_its_file(shipped):
    text = shipped.to_json()
    assert TimeModel.from_json(text) == shipped
    assert TimeModel.from_json(text).to_json() == text
    for broken in ("", "[]", "{}", text.replace('"laws"', '"lows"'), text.replace('"overhead"', '"overheat"')):
        with pytest.raises(ModelError):
            TimeModel.from_json(broken)
    with pytest.raises(ModelError, match="format"):
        TimeModel.from_json(text.replace('"format": 1', '"format": 2'))


def test_calibration_is_repeatable(shipped):
    first, second = shipped.calibrate(), shipped.calibrate()
    assert first > 0
    # Processor time on a shared machine: loose enough to hold there.
    assert 0.4 < first / second < 2.5
    assert short_fit() < 3.0


def test_the_sizes_are_those_of_the_networks_learner():
    ours = time_model.STEPS_PER_EPOCH, time_model.SMALLEST_BATCH
    assert ours == (network.STEPS_PER_EPOCH, network.SMALLEST_BATCH)


def test_a_collection_and_a_recording_in_progress_say_the_same(tmp_path):
    dataset = Dataset("t", "f", folds=3, recorded_rows=900, numbers=5, categories=1, classes=2, kind="binary")
    nothing = dict.fromkeys(("loss", "test_loss", "peak_mb"))
    row = {
        "task": "t", "config_id": "shared-000", "origin": "default", "config": default("linear"), "budget": 1.0,
        "folds": 3, "fold_losses": [], "curve": [], "fit_s": 1.0, "predict_s": 0.5, "cpu_s": 1.5, "error": "",
        "state": "complete", "machine": "", "rounds": 0,
    } | nothing  # fmt: skip
    rows = [
        row,
        row | {"config_id": "shared-001", "config": default("network"), "cpu_s": 3.0, "state": "timed_out"},
        row | {"config_id": "shared-002", "config": default("catboost"), "cpu_s": None, "state": "failed"},
        row | {"budget": 0.5, "folds": 1, "cpu_s": 0.25},
    ]
    write_own(tmp_path / "own", Card("c", "", "tabular", SPACE.version, (dataset,)), SPACE, rows)
    (tmp_path / "tables" / "t").mkdir(parents=True)
    (tmp_path / "tables" / "t" / "task.json").write_text(json.dumps(vars(dataset)), encoding="utf-8")
    lines = [json.dumps(r) for r in [row | {"cpu_s": 9.0}, *rows]]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + '\n{"task": "t", "conf', encoding="utf-8")
    found = {(t.config["algorithm"], t.shape.rows): t for t in read(tmp_path / "own")}
    assert found == {(t.config["algorithm"], t.shape.rows): t for t in read(tmp_path)}
    assert {k: (t.seconds, t.ended) for k, t in found.items()} == {
        ("linear", 600.0): (0.5, True), ("network", 600.0): (1.0, False), ("linear", 300.0): (0.25, True),
    }  # fmt: skip
    assert found["linear", 300.0].shape.validation == 300.0
