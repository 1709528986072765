"""A study that several processes share outlives the death of some of them."""

import os
import signal
import subprocess
import sys
import time

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from autometa.space import key

WANTED, WORKERS, KILLED = 40, 4, 2

WORKER = f"""
import sys, time
import optuna
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from autometa import MetaSampler
from autometa.parameters import Categorical, Float, Int
from autometa.space import Space

SPACE = Space("s", (
    Categorical(name="a", choices=("x", "y"), default="x"),
    Float(name="z", low=0.0, high=1.0, default=0.5),
    Int(name="n", low=1, high=1000, default=5, when=("a", ("y",))),
))

def objective(trial):
    config = SPACE.suggest(trial)
    print(trial.number, flush=True)  # whoever kills this process knows that it is at work
    time.sleep(0.3)
    return config["z"] + config.get("n", 500) / 1000

study = optuna.load_study(
    storage=JournalStorage(JournalFileBackend(sys.argv[1])), study_name="s", sampler=MetaSampler(SPACE, seed=0)
)
study.optimize(objective, callbacks=[MaxTrialsCallback({WANTED}, states=(TrialState.COMPLETE,))])
"""


@pytest.mark.slow
def test_four_processes_of_which_two_are_killed_lose_and_repeat_nothing(tmp_path):
    path = str(tmp_path / "journal.log")
    storage = JournalStorage(JournalFileBackend(path))
    optuna.create_study(storage=storage, study_name="s")
    command = [sys.executable, "-c", WORKER, path]
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(WORKERS)
    ]
    begun = []
    for worker in workers[:KILLED]:
        begun.append([int(worker.stdout.readline()) for _ in range(3)])
        time.sleep(0.1)
        os.kill(worker.pid, signal.SIGKILL)
    rest = [[int(line) for line in worker.communicate(timeout=300)[0].split()] for worker in workers]
    assert [w.returncode for w in workers] == [-signal.SIGKILL] * KILLED + [0] * (WORKERS - KILLED)
    under_way = {(numbers + more)[-1] for numbers, more in zip(begun, rest, strict=False)}

    trials = optuna.load_study(storage=JournalStorage(JournalFileBackend(path)), study_name="s").trials
    assert [t.number for t in trials] == list(range(len(trials)))
    unfinished = {t.number for t in trials if not t.state.is_finished()}
    assert unfinished <= under_way
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    assert WANTED <= len(complete) < WANTED + WORKERS
    assert len(complete) + len(unfinished) == len(trials)
    assert len({key(t.params) for t in trials}) == len(trials)
