"""Small spaces, searches on them and processes, for tests of policies that learn."""

import math

import numpy as np
import torch

from autometa.parameters import Categorical, Float, Int
from autometa.policies.learned_process import LearnedProcess
from autometa.policies.meta_features import Reader
from autometa.policies.process_network import ProcessNetwork
from autometa.space import Space, key
from autometa.task import Task, Trial

PLANE = Space("plane", tuple(Float(name=n, low=0.0, high=1.0, default=0.5) for n in "xy"))
CONDITIONAL = Space(
    "conditional",
    (
        Categorical(name="algorithm", choices=("tree", "net"), default="tree"),
        Float(name="rate", low=1e-4, high=1.0, log=True, default=1e-2),
        Int(name="depth", low=1, high=9, default=2, when=("algorithm", ("tree",))),
        Float(name="width", low=1.0, high=100.0, log=True, default=5.0, when=("algorithm", ("net",))),
    ),
)
SMALL = Space(
    "small",
    (
        Categorical(name="a", choices=(1, 2, 3), default=1),
        Categorical(name="b", choices=("u", "v"), default="u"),
    ),
)
READER = Reader(("rows", "columns"), (100.0, 10.0), (50.0, 5.0))


def bowl(x=0.3, y=0.7):
    """The loss of a config of the plane."""
    return lambda config: (config["x"] - x) ** 2 + (config["y"] - y) ** 2


def configs(space, count, seed=0):
    """Distinct random ones."""
    rng = np.random.default_rng(seed)
    return list({key(c): c for c in (space.sample(rng) for _ in range(count))}.values())


def trial(config, loss):
    """A finished one, failed where the loss is not finite."""
    return Trial(config, "complete", loss) if math.isfinite(loss) else Trial(config, "failed")


def searched(space, loss, count, *, seed=0, name="past", features=()):
    """A task with random trials."""
    return Task(name, space, tuple(trial(c, loss(c)) for c in configs(space, count, seed)), dict(features))


def search(policy, task, loss, count, *, candidates=None, seed=0):
    """The task after more trials, those that a policy proposes one after another."""
    for _ in range(count):
        (config,) = policy.propose(task, n=1, seed=seed, candidates=candidates)
        task.space.check(config)
        task = task.observe(trial(config, loss(config)))
    return task


def process(seed=0, **how):
    """A small one that has learned nothing."""
    torch.manual_seed(seed)
    network = ProcessNetwork(features=len(READER), width=16, basis=6, places=3)
    return LearnedProcess(network, READER, **how)
