"""What a stopped trial would have come to, told by those that got further; and that a search reckons with it."""

import math

import optuna
import pytest
from searches import PLANE, configs

from autometa import MetaSampler
from autometa.policies.prospects import Prospects
from autometa.task import Trial

ONE, TWO, THREE, FOUR = configs(PLANE, 4)


def curve(config, *losses, state="complete"):
    return Trial(config, state, losses[-1], curve=losses)


def test_it_goes_on_as_the_median_of_those_that_got_further():
    history = (
        curve(ONE, 3.0, 2.0, 1.0),
        curve(TWO, 4.0, 3.0, 2.5),
        curve(THREE, 6.0, 5.0, state="pruned"),
        curve(FOUR, 5.0, state="pruned"),
    )
    prospects = Prospects(history)
    assert prospects.loss(history[3]) == 5.0 - 1.5  # -2.0, -1.5 and -1.0
    assert prospects.loss(history[2]) == 5.0 - 0.75  # -1.0 and -0.5


def test_folds_are_compared_by_their_means():
    history = (Trial(ONE, "complete", 0.5, (0.3, math.nan, 0.7)), Trial(TWO, "pruned", 0.9, (0.9,)))
    assert Prospects(history).loss(history[1]) == pytest.approx(0.9 + 0.2)


def test_nobody_got_further():
    history = (curve(ONE, 3.0, state="pruned"), Trial(TWO, "complete", 1.0), Trial(THREE, "failed"), Trial(FOUR))
    assert Prospects(history).loss(history[0]) == 3.0
    assert Prospects((Trial(ONE, "pruned", 2.0),)).loss(Trial(ONE, "pruned", 2.0)) == 2.0
    assert math.isnan(Prospects(history).loss(curve(FOUR, 1.0, math.nan, state="pruned")))


def test_what_is_not_finite_tells_nothing():
    history = (curve(ONE, math.nan, 1.0), curve(TWO, 2.0, math.inf), curve(THREE, 4.0, 3.5))
    assert Prospects(history).loss(curve(FOUR, 9.0, state="pruned")) == 8.5


@pytest.mark.parametrize("seed", range(3))
def test_a_study_with_a_pruner_learns_from_what_was_pruned(seed):
    """All that lies left of the middle is pruned: without these trials nothing would speak against it."""

    def objective(trial):
        x, y = trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("y", 0.0, 1.0)
        loss = (x - 0.8) ** 2 + (y - 0.3) ** 2
        for step in range(4):
            trial.report(loss + 1.0 / (step + 1), step)
            if x < 0.5:
                raise optuna.TrialPruned
        return loss + 0.25

    study = optuna.create_study(sampler=MetaSampler(seed=seed))
    study.optimize(objective, n_trials=24)
    assert sum(t.params["x"] < 0.5 for t in study.trials[12:]) <= 2
    assert study.best_value < 0.35
