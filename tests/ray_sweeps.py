"""Sweeps on Ray for tests: a small cluster of one's own, trials that go wrong in part, and a log of what was asked."""

import hashlib
import json
import math
import os
import signal
import sys
import tempfile
import time
from contextlib import contextmanager

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher

import autometa
from tests.searches import CONDITIONAL

STEPS, WORKERS = 9, 4
COPIED = 5  # seconds after which a copy under way of Ray's own files has ended: in its midst they cannot be read


@contextmanager
def cluster(cpus):
    """Ray with so many logical processors, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="rs") as folder:
        ray.init(
            num_cpus=cpus,
            object_store_memory=100 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            _temp_dir=folder,
        )
        try:
            yield
        finally:
            ray.shutdown()


def a_searcher():
    return autometa.ray_searcher(CONDITIONAL, "loss", "min", seed=0)


def luck(config):
    """A number in [0, 1) that follows from a config."""
    text = json.dumps(config, sort_keys=True)
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def loss_of(config):
    """Small for trees of little depth with a rate of 0.01."""
    return abs(math.log10(config["rate"]) + 2) + 0.1 * config.get("depth", 10)


def train(config):
    """One in twenty raises and one in ten ends with NaN, unless it is stopped before."""
    lot, wrong_at = luck(config), 1 + int(1000 * luck(config)) % 3
    for step in range(1, STEPS + 1):
        if lot < 0.05 and step == wrong_at:
            raise RuntimeError("this one fails")
        wrong = 0.05 <= lot < 0.15 and step >= wrong_at
        tune.report({"loss": math.nan if wrong else loss_of(config) + 1.0 / step})


def steady(config):
    """One result and no trouble."""
    tune.report({"loss": loss_of(config)})


class Logged(Searcher):
    """A searcher behind a log of all that it is asked and told."""

    def __init__(self, searcher):
        self.searcher, self.log = searcher, []
        super().__init__(searcher.metric, searcher.mode)

    def suggest(self, trial_id):
        config = self.searcher.suggest(trial_id)
        self.log.append(("suggest", trial_id, config))
        return config

    def on_trial_result(self, trial_id, result):
        self.log.append(("result", trial_id, _short(result)))
        self.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id, result=None, error=False):  # noqa: FBT002 (Ray's own)
        self.log.append(("complete", trial_id, _short(result), error))
        self.searcher.on_trial_complete(trial_id, result, error)

    def get_state(self):
        return {"log": list(self.log)}

    def set_state(self, state):
        self.log = state["log"]


def _short(result):
    return {k: result[k] for k in ("loss", "training_iteration") if k in result} if result else result


def replayed(log, searcher):
    """What a searcher suggests in a sweep that went as the log says, in its order."""
    found = []
    for kind, name, *told in log:
        if kind == "suggest":
            found.append(searcher.suggest(name))
        elif kind == "result":
            searcher.on_trial_result(name, *told)
        else:
            searcher.on_trial_complete(name, *told)
    return found


class Die(tune.Callback):
    """Ends the process that it was made in after so many trials, as a kill would."""

    def __init__(self, after):
        self.left, self.process = after, os.getpid()

    def on_trial_complete(self, iteration, trials, trial, **info):
        self.left -= 1
        if self.left == 0 and self.process == os.getpid():
            time.sleep(COPIED)
            os.kill(self.process, signal.SIGKILL)


def tuner_of(folder, count, after):
    """A Tuner with ASHA on a conditional space, whose driver dies after so many trials."""
    return tune.Tuner(
        train,
        tune_config=tune.TuneConfig(
            search_alg=Logged(a_searcher()),
            scheduler=ASHAScheduler(metric="loss", mode="min", max_t=STEPS, grace_period=1, reduction_factor=3),
            num_samples=count,
            max_concurrent_trials=WORKERS,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="sweep", storage_path=str(folder), callbacks=[Die(after)], verbose=0),
    )


if __name__ == "__main__":
    address, to, samples, last = sys.argv[1:]
    ray.init(address, log_to_driver=False, configure_logging=False)
    tuner_of(to, int(samples), int(last)).fit()
