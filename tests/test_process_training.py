"""Meta-training of the process: it learns by each algorithm, and survives being stopped."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from autometa.errors import InputError, ModelError
from autometa.metatrain import process_training
from autometa.metatrain.process_training import Algorithm, Settings, meta_train
from autometa.metatrain.synthetic_tasks import SyntheticFamily, prior_tasks
from autometa.policies.gaussian import LossScale
from autometa.policies.learned import LearnedPolicy
from autometa.policies.learned_process import LearnedProcess
from autometa.pool import Pool
from autometa.records.prior_tasks import PriorTasks
from autometa.task import Task
from tests.searches import CONDITIONAL, configs

ALGORITHMS = get_args(Algorithm)
FAMILY = SyntheticFamily(0, CONDITIONAL, 0.9)
PRIOR = prior_tasks(FAMILY, tasks=12, configs=80, seed=0)
HELD_OUT = PriorTasks(PRIOR.pool, ("a", "b", "c"), FAMILY.losses([90, 91, 92], PRIOR.pool))
KNOWN, ASKED = np.arange(8), np.arange(8, 40)
EXACT = LossScale(0.0, 1e-6, 0.0, 1e-6)
TINY = Settings(steps=60, batch=8, width=16, validate_every=20, rate=5e-3)


def validate(process):
    """Mean squared error of what is foretold of held-out tasks from a few of their trials, in scaled losses."""
    errors = []
    for losses in HELD_OUT.scaled("min_max"):
        belief = process.belief(PRIOR.pool, KNOWN, losses[KNOWN], {}, EXACT)
        errors.append(((belief.given(KNOWN, losses[KNOWN]).mean[ASKED] - losses[ASKED]) ** 2).mean())
    return float(np.mean(errors))


def tensors(process):
    return dict(process.network.state_dict()) | {f"rule.{n}": t for n, t in process.rule.items()}


def equal(one, other):
    a, b = tensors(one), tensors(other)
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def untrained(settings):
    """The validation before the first step."""
    seen = []

    def note(process):
        seen.append(validate(process))
        return seen[-1]

    meta_train([PRIOR], replace(settings, steps=1, rate=1e-12), validate=note)
    return seen[0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_learns_to_foretell_tasks_of_the_family(algorithm):
    settings = replace(TINY, algorithm=algorithm)
    found = meta_train([PRIOR], settings, validate=validate)
    assert validate(found) < 0.6 * untrained(settings)


@pytest.mark.parametrize("changes", [{"emits": False}, {"reads": False}, {"scaling": "ranks"}, {"without": ("deep",)}])
def test_every_setting_learns(changes):
    settings = replace(TINY, **changes)
    found = meta_train([PRIOR], settings, validate=validate)
    assert validate(found) < untrained(settings)
    assert len(LearnedPolicy(process=found).propose(Task("new", CONDITIONAL), n=1, seed=0)) == 1


class Killed(BaseException):
    """Stands for SIGKILL in the middle of a training."""


@pytest.mark.parametrize("algorithm", ["joint", "meta-sgd", "reptile"])
@pytest.mark.parametrize("at", [3, 11])
def test_a_training_that_was_killed_ends_like_an_undisturbed_one(tmp_path, monkeypatch, algorithm, at):
    settings = replace(TINY, algorithm=algorithm, steps=16, validate_every=4)
    file, calls = tmp_path / "training.safetensors", iter(range(1000))
    whole = meta_train([PRIOR], settings, validate=validate)
    draw = process_training.Episodes.draw

    def until(episodes, generator):
        if next(calls) == at:
            raise Killed
        return draw(episodes, generator)

    with monkeypatch.context() as patch:
        patch.setattr(process_training.Episodes, "draw", until)
        with pytest.raises(Killed):
            meta_train([PRIOR], settings, validate=validate, checkpoint=file)
    assert file.exists() == (at > 4)
    assert equal(whole, meta_train([PRIOR], settings, validate=validate, checkpoint=file))


def test_the_same_seed_gives_the_same_process_and_another_does_not():
    settings = replace(TINY, steps=4, validate_every=2)
    one, same, other = (
        meta_train([PRIOR], s, validate=lambda _: 0.0) for s in (settings, settings, replace(settings, seed=1))
    )
    assert equal(one, same)
    assert not equal(one, other)


def test_the_process_with_the_lowest_validation_is_kept():
    script, seen = iter([3.0, 1.0, 2.0]), []

    def judge(process):
        seen.append(process)
        return next(script)

    found = meta_train([PRIOR], replace(TINY, steps=6, validate_every=2), validate=judge)
    assert equal(found, seen[1])


def test_a_process_says_where_it_comes_from_and_is_saved(tmp_path):
    described = PriorTasks(PRIOR.pool, PRIOR.names, PRIOR.losses, tuple({"rows": float(i)} for i in range(12)))
    settings = replace(TINY, algorithm="meta-sgd", steps=2)
    found = meta_train([described], settings, validate=lambda _: 0.0, card=lambda _: {"made from": ["a family"]})
    assert found.card == {"made from": ["a family"]}
    assert found.reader.names == ("rows",)
    found.save(tmp_path / "one.safetensors")
    assert equal(found, LearnedProcess.load(tmp_path / "one.safetensors"))
    blind = meta_train([described], replace(settings, reads=False), validate=lambda _: 0.0)
    assert blind.reader.names == ()


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    file, settings = tmp_path / "training.safetensors", replace(TINY, steps=2)
    meta_train([PRIOR], settings, validate=lambda _: 0.0, checkpoint=file)
    with pytest.raises(ModelError, match="of another training"):
        meta_train([PRIOR], replace(settings, seed=1), validate=lambda _: 0.0, checkpoint=file)
    with pytest.raises(ModelError, match="of another training"):
        meta_train([HELD_OUT], settings, validate=lambda _: 0.0, checkpoint=file)


def test_an_algorithm_that_nobody_knows_is_refused():
    with pytest.raises(InputError, match="joint, anil, meta-sgd, maml, fomaml, reptile; got 'mamba'"):
        Settings(algorithm="mamba")


@pytest.mark.parametrize(
    "sources", [[], [PriorTasks(Pool(CONDITIONAL, configs(CONDITIONAL, 5)), (), np.zeros((0, 5)))]]
)
def test_nothing_to_learn_from_is_refused(sources):
    with pytest.raises(InputError, match="got none"):
        meta_train(sources, TINY, validate=lambda _: 0.0)
