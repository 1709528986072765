"""The example of a user's own studies: eight teach the ninth."""

import sys
from pathlib import Path

import numpy as np
import optuna
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))

import own_studies  # noqa: E402 (found only now)


def test_jobs_are_of_one_family_and_no_two_are_alike():
    config = {"learning_rate": 1e-3, "depth": 6, "width": 90, "optimizer": "adam", "dropout": 0.2}
    losses = [own_studies.Job(n)(optuna.trial.FixedTrial(config)) for n in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_past_studies_beat_a_cold_start(monkeypatch):
    monkeypatch.setattr(own_studies, "LONG", 25)
    took = own_studies.compare(2, longest=15, say=lambda _: None)
    assert min(n for n in took if n is not None) <= 15


@pytest.mark.slow
def test_the_ninth_study_needs_eight_trials_for_what_took_fifty():
    took = own_studies.compare(10, say=lambda _: None)
    assert np.median([np.inf if n is None else n for n in took]) <= 8
