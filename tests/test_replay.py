"""Replay: regret as the protocol says, seeds and datasets counted right, misleading sources made as named."""

import math

import numpy as np
import pandas as pd
import pytest
from test_prior_tasks import collection
from typer.testing import CliRunner

from autometa.cli import app
from autometa.errors import InputError
from autometa.policies.random import RandomPolicy
from autometa.records.own_writing import write_own
from autometa.records.prior_tasks import PriorTasks
from autometa.records.regret import BOOTSTRAPS, Curves, bootstrap_weights, holm
from autometa.records.replay import replay, target_of
from autometa.records.replays import Replays, Settings
from autometa.records.sources import Folds
from autometa.records.stress import STRESSES
from autometa.search.replay_policies import POLICIES, SEEDLESS

NAN = math.nan


class Scripted:
    """Proposes the candidates in a given order."""

    def __init__(self, order):
        self.order = order

    def propose(self, task, *, n, seed, candidates=None):
        return [candidates[self.order[len(task.history)]]]


def related(tasks=12, configs=30, seed=0):
    """Tasks that agree on what is good, up to shift, scale and noise."""
    rng = np.random.default_rng(seed)
    shape = (np.linspace(0, 1, configs) - 0.7) ** 2
    return rng.uniform(1, 9, (tasks, 1)) + rng.uniform(0.5, 2, (tasks, 1)) * (
        shape + rng.normal(0, 0.02, (tasks, configs))
    )


def test_regret_by_hand():
    found = collection(
        [[4.0, 2.0, NAN, 3.0], [1.0, 1.0, 1.0, 1.0]],
        test=[[5.0, 4.0, NAN, 3.0], [1.0, 1.0, 1.0, 1.0]],
        seconds=[[1.0, 2.0, 1.0, 4.0], [1.0] * 4],
    )
    target = target_of(found, 0)
    assert target.regrets.tolist() == [1.0, 0.0, 1.0, 0.5]
    assert target.test_regrets.tolist() == [1.0, 0.5, 1.0, 0.0]
    assert target.ranks.tolist() == pytest.approx([2 / 3, 0.0, 1.0, 1 / 3])
    assert target_of(found, 1).constant
    replays = Replays(Folds.deal(found, 2), {"s": lambda _: Scripted([2, 0, 3, 1])}, Settings(trials=6, seeds=1))
    assert list(replays.targets) == [0]
    replays.run(lambda _: None)
    curves = replays.curves(["s"])
    assert curves.regret["s"].tolist() == [[1.0, 1.0, 0.5, 0.0, 0.0, 0.0]]
    assert curves.test_regret["s"].tolist() == [[1.0, 1.0, 0.0, 0.5, 0.5, 0.5]]  # of the best by validation


def test_regret_by_seconds_counts_what_has_ended():
    found = collection([[4.0, 2.0, 3.0, 6.0], [1.0, 2.0, 3.0, 4.0]], seconds=[[1.0, 2.0, 1.0, 4.0], [1.0] * 4])
    replays = Replays(
        Folds.deal(found, 2), {"s": lambda _: Scripted([3, 0, 2, 1])}, Settings(trials=4, seeds=1, x="seconds")
    )
    replays.run(lambda _: None)
    # Seconds 4, 5, 6, 8 at a mean of 2: they end at 2, 2.5, 3 and 4.
    assert replays.curves(["s"]).regret["s"][0].tolist() == [1.0, 1.0, 0.25, 0.0]
    with pytest.raises(InputError, match="recorded no seconds"):
        Replays(Folds.deal(collection(related()), 2), {}, Settings(x="seconds"))


def test_no_config_is_tried_twice_and_seeds_differ():
    target = target_of(collection(related()), 0)
    runs = [replay(RandomPolicy(), target, trials=50, seed=s).places.tolist() for s in (0, 0, 1)]
    assert sorted(runs[0]) == list(range(30))
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("name", [n for n in POLICIES if n not in ("gp", "fsbo", "learned_alone")])
def test_every_policy_replays_and_repeats(name):
    found = collection(related(6, 14))
    runs = []
    for _ in range(2):
        replays = Replays(Folds.deal(found, 3), {name: POLICIES[name]}, Settings(trials=8, seeds=1), SEEDLESS)
        replays.run(lambda _: None)
        runs.append({key: run.places.tolist() for key, run in replays.found.items()})
    assert runs[0] == runs[1]
    assert all(len(set(places)) == 8 for places in runs[0].values())


def test_policies_that_learn_beat_random_on_related_tasks():
    names = ["random", "portfolio", "source_mean_gp", "empirical_covariance", "source_copies", "source_mixture", "rgpe"]
    replays = Replays(
        Folds.deal(collection(related(20, 40)), 5),
        {n: POLICIES[n] for n in names},
        Settings(trials=12, workers=2),
        SEEDLESS,
    )
    replays.run(lambda _: None)
    curves = replays.curves(names)
    areas = {n: curves.area(n, 12).mean() for n in names}
    assert all(areas[n] < 0.6 * areas["random"] for n in names[1:]), areas
    contrast = curves.contrast("source_mixture", "random", 12)
    assert contrast.high < 0
    assert contrast.p_value < 0.01
    assert curves.speed_up("source_mixture", at=12)[0] > curves.speed_up("random", at=12)[0]
    table = curves.table()
    assert list(table.columns[:8]) == [
        "policy", "trial", "mean_regret", "low", "high", "median_regret", "mean_rank", "ms_per_suggestion",
    ]  # fmt: skip
    assert (table["low"] <= table["mean_regret"] + 1e-12).all()
    assert (table["high"] >= table["mean_regret"] - 1e-12).all()


def test_workers_change_nothing():
    found = collection(related(6, 14))
    results = []
    for workers in (1, 2):
        replays = Replays(Folds.deal(found, 3), {"random": POLICIES["random"]}, Settings(trials=5, workers=workers))
        replays.run(lambda _: None)
        results.append({key: run.places.tolist() for key, run in replays.found.items()})
    assert results[0] == results[1]
    assert len(results[0]) == 6 * 3


def test_the_bootstrap_draws_datasets_not_tasks():
    weights = bootstrap_weights(np.array([0, 0, 0, 1]), seed=0)
    assert weights.shape == (BOOTSTRAPS, 4)
    assert np.allclose(weights.sum(axis=1), 1)
    assert (weights[:, 0] == weights[:, 1]).all()
    # With two groups the draws are: one of them twice, or both.
    assert set(np.round(weights[:, 3], 6)) == {0.0, 0.25, 1.0}


def test_speed_up_by_hand():
    regret = {"random": np.array([[0.9, 0.8, 0.5, 0.2]]), "good": np.array([[0.2, 0.1, 0.1, 0.1]])}
    regret["bad"] = np.array([[0.9, 0.9, 0.9, 0.9]])
    curves = Curves(tuple(regret), ("t",), np.array([0]), np.arange(1.0, 5.0), regret, regret, regret, {})
    assert curves.speed_up("good", at=4) == (pytest.approx(4.0), 0.0)
    assert curves.speed_up("random", at=4) == (pytest.approx(1.0), 0.0)
    assert curves.speed_up("bad", at=4) == (pytest.approx(4 / 5), 1.0)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


# Misleading sources


def stressed(kind, losses=None):
    prior = PriorTasks.of(collection(related(8, 20) if losses is None else losses))
    return prior, STRESSES[kind](prior, prior.losses[0], np.random.default_rng(0))


def test_inverted_sources_turn_the_order_round():
    prior, found = stressed("inverted")
    assert np.allclose(found.scaled("ranks"), 1 - prior.scaled("ranks"))


def test_shuffled_sources_keep_each_config_and_lose_each_task():
    prior, found = stressed("shuffled")
    assert (np.sort(found.losses, axis=0) == np.sort(prior.losses, axis=0)).all()
    assert (found.losses != prior.losses).any(axis=1).all()


def test_rescaled_sources_say_the_same():
    prior, found = stressed("rescaled")
    assert np.allclose(found.scaled("min_max"), prior.scaled("min_max"))
    assert not np.allclose(found.losses, prior.losses)


def test_re_ranged_sources_have_seen_half():
    prior, found = stressed("re_ranged")
    gone = np.isnan(found.losses)
    assert (gone.sum(axis=1) == 10).all()
    assert (found.losses[~gone] == prior.losses[~gone]).all()


def test_a_near_copy_stands_among_noise():
    prior, found = stressed("near_copy")
    correlations = [np.corrcoef(row, prior.losses[0])[0, 1] for row in found.losses]
    assert correlations[0] > 0.99
    assert max(np.abs(correlations[1:])) < 0.8


def test_sources_of_another_family_speak_of_other_configs():
    prior, found = stressed("other_family")
    assert set(found.losses[0]) <= set(prior.losses[0])
    assert not np.allclose(found.losses, prior.losses)


# The command


@pytest.fixture
def folder(tmp_path):
    made = collection(related(6, 14), seconds=np.ones((6, 14)))
    rows = [
        {
            "task": made.names[t], "config_id": f"c{c}", "origin": "sobol", "config": made.configs[c], "budget": 1.0,
            "folds": 1, "fold_losses": [made.full[t, c]], "loss": made.full[t, c], "test_loss": None, "fit_s": 1.0,
            "predict_s": 0.0, "cpu_s": 1.0, "peak_mb": 1.0, "state": "complete", "error": "", "machine": "m",
            "curve": [], "rounds": 0,
        }
        for t in range(6) for c in range(14)
    ]  # fmt: skip
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "space.toml").write_text(
        'name = "made"\n[parameters.x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\ndefault = 0.5\n'
    )
    write_own(tmp_path / "made", made.card, made.space, rows)
    return tmp_path / "made"


def call(*arguments):
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


def test_the_command_writes_table_and_plot(folder, tmp_path):
    policies = "random,portfolio,source_mixture,rgpe"
    done = call(folder, "--policies", policies, "--trials", 6, "--folds", 3, "--out", tmp_path / "out", "--workers", 1)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "out" / "regret.csv")
    assert set(table["policy"]) == set(policies.split(","))
    assert len(table) == 4 * 6
    assert (tmp_path / "out" / "regret.svg").read_text().startswith("<?xml")
    assert "area" not in done.stdout.splitlines()[-1]
    first = (tmp_path / "out" / "regret.svg").read_bytes()
    call(folder, "--policies", policies, "--trials", 6, "--folds", 3, "--out", tmp_path / "out", "--workers", 1)
    assert (tmp_path / "out" / "regret.svg").read_bytes() == first


def test_the_command_learns_from_another_folder_and_under_stress(folder, tmp_path):
    done = call(
        folder, "--sources", folder, "--policies", "random,source_mixture", "--trials", 4, "--stress", "--x", "seconds",
        "--out", tmp_path / "out", "--workers", 1,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    stress = pd.read_csv(tmp_path / "out" / "stress.csv")
    assert set(stress["sources"]) == {"clean", *STRESSES}
    assert set(stress["policy"]) == {"random", "source_mixture"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--policies", "random,psychic"], "policies are some of"),
        (["--policies", ","], "got none"),
        (["--folds", "1"], "two folds"),
        (["--trials", "0"], "must be positive"),
        (["--sources", "nowhere"], "is no folder"),
    ],
)
def test_what_is_refused(folder, arguments, says):
    found = call(folder, *arguments)
    assert found.exit_code == 2, found.output
    assert says in found.stderr
    assert "Traceback" not in found.output
