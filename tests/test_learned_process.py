"""A process on disk and back: what it believes stays, and what is damaged is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from autometa.adaptation import InnerLoop
from autometa.checkpoint import Checkpoint
from autometa.errors import ModelError
from autometa.policies.gaussian import LossScale
from autometa.policies.learned import LearnedPolicy
from autometa.policies.learned_process import KIND, LearnedProcess
from autometa.policies.meta_features import Reader
from autometa.policies.pool_memory import PoolMemory
from autometa.policies.process_network import HEAD, Episode, negative_log_likelihood
from autometa.policies.tokens import tokens
from autometa.pool import Pool
from tests.searches import CONDITIONAL, PLANE, READER, bowl, configs, process, searched

POOL = Pool(CONDITIONAL, configs(CONDITIONAL, 20))
PLACES, LOSSES = np.array([3, 1, 8, 12, 5]), np.array([0.3, 0.9, 0.1, 0.5, 0.45])
SCALE = LossScale(0.0, 1e-6, 0.0, 1e-6)
FEATURES = {"rows": 120.0, "columns": 8.0}


def meta_sgd():
    one = process(inner=InnerLoop(2, 0.05, rates="per parameter", adapts=HEAD))
    params = {n: p.detach() for n, p in one.network.named_parameters()}
    rule = {n: 0.5 * rate for n, rate in one.inner.initial(params).items()}
    return replace(one, rule=rule, card={"made from": ["nothing"]})


def processes():
    yield "joint", process()
    yield "anil", process(inner=InnerLoop(1, 0.05, adapts=HEAD))
    yield "meta-sgd", meta_sgd()
    yield "maml", process(inner=InnerLoop(3, 0.01))


every_process = pytest.mark.parametrize("one", [p for _, p in processes()], ids=[n for n, _ in processes()])


def believed(one, pool=POOL, scale=SCALE):
    return one.belief(pool, PLACES, LOSSES, FEATURES, scale)


@every_process
def test_a_process_that_was_saved_believes_and_proposes_the_same(tmp_path, one):
    file = tmp_path / "process.safetensors"
    one.save(file)
    other = LearnedProcess.load(file)
    assert (other.reader, other.inner, other.card) == (one.reader, one.inner, one.card)
    assert all(torch.equal(other.rule[n], t) for n, t in one.rule.items())
    first, second = believed(one), believed(other)
    assert (first.mean == second.mean).all()
    assert (first.covariance.rows(PLACES) == second.covariance.rows(PLACES)).all()
    task = searched(PLANE, bowl(), 5, features=FEATURES)
    assert LearnedPolicy(process=one).propose(task, n=2, seed=1) == LearnedPolicy(process=other).propose(
        task, n=2, seed=1
    )


def test_a_belief_is_what_training_optimised():
    """Of the trials that are known and one that is not: the density that the network was trained on."""
    one, others = process(), np.setdiff1d(np.arange(20), PLACES)
    belief = believed(one)
    told = belief.given(PLACES, LOSSES)
    read = tokens(POOL)
    packed, there = (torch.from_numpy(part) for part in read.packed())
    for asked in others[:4]:
        at = torch.tensor([*PLACES, asked])
        losses, given = torch.tensor([*LOSSES, 0.6]).float(), torch.tensor([1.0] * 5 + [0.0])
        features = torch.from_numpy(READER.read(FEATURES))
        space = torch.from_numpy(read.space.mean(axis=0))
        episode = Episode(space, packed[at], there[at], at, losses, given, 1 - given, features)
        params = {n: p.detach() for n, p in one.network.named_parameters()}
        variance = told.sd[asked] ** 2 + belief.noise
        wanted = 0.5 * np.log(2 * np.pi * variance) + 0.5 * (0.6 - told.mean[asked]) ** 2 / variance
        assert float(negative_log_likelihood(one.network, params, episode)) == pytest.approx(wanted, abs=5e-3)


def test_steps_raise_the_likelihood_of_the_trials():
    def likelihood(one):
        belief = believed(one)
        among = belief.covariance.rows(PLACES)[:, PLACES] + belief.noise * np.eye(5)
        apart = LOSSES - belief.mean[PLACES]
        return -0.5 * np.linalg.slogdet(among)[1] - 0.5 * apart @ np.linalg.solve(among, apart)

    base = process()
    base.network.emits = False
    found = [
        likelihood(replace(base, inner=InnerLoop(steps, 0.05, adapts=HEAD), _encoded=PoolMemory()))
        for steps in (0, 1, 5, 20)
    ]
    assert found == sorted(found)
    assert found[-1] > found[0]


@every_process
def test_what_one_task_teaches_stays_there(one):
    before = {n: p.detach().clone() for n, p in one.network.named_parameters()}
    first = believed(one).mean
    one.belief(POOL, PLACES, -5.0 * LOSSES, {}, SCALE)
    assert (believed(one).mean == first).all()
    assert all(torch.equal(before[n], p) for n, p in one.network.named_parameters())


@every_process
@pytest.mark.parametrize("unit", [1e-300, 1e-12, 1e12, 1e30, 1e60])
def test_losses_of_any_size_leave_a_belief(one, unit):
    for scale in (None, SCALE):
        belief = one.belief(POOL, PLACES, unit * LOSSES, FEATURES, scale)
        assert np.isfinite(belief.mean).all()
        assert np.isfinite(belief.covariance.rows(PLACES)).all()


@every_process
def test_before_any_trial_there_is_a_belief(one):
    belief = one.belief(POOL, np.zeros(0, np.intp), np.zeros(0), {}, None)
    assert np.isfinite(belief.mean).all()


def test_a_pool_of_parts_is_encoded_as_the_whole():
    one, parts = process(inner=InnerLoop(1, 0.01)), [Pool(CONDITIONAL, list(POOL)[a:b]) for a, b in ((0, 7), (7, 20))]
    narrow = Pool(CONDITIONAL, [{"algorithm": "tree", "rate": 0.1, "depth": 3}])
    for _ in range(2):
        found, whole = one.encode(Pool.joined(parts)), one.encode(Pool(CONDITIONAL, list(POOL)))
        assert found.basis == pytest.approx(whole.basis, abs=1e-6)
        assert found.places == pytest.approx(whole.places, abs=1e-6)
        assert torch.equal(found.tokens, whole.tokens)
    first, second = believed(one, Pool.joined([*parts, narrow])), believed(one)
    assert first.mean[:20] == pytest.approx(second.mean, abs=1e-5)


# Damaged files


def saved(tmp_path, **changes):
    file = tmp_path / "process.safetensors"
    meta_sgd().save(file)
    found = Checkpoint.load(file, KIND)
    settings = {k: dict(v) for k, v in found.settings.items()}
    tensors = dict(found.tensors)
    return file, settings, tensors


DAMAGES = {
    "no network": lambda s, t: s.pop("network"),
    "no reader": lambda s, t: s.pop("reader"),
    "no inner loop": lambda s, t: s.pop("inner"),
    "inner loop of nothing": lambda s, t: s["inner"].clear(),
    "steps that are none": lambda s, t: s["inner"].update(steps="many"),
    "steps below 0": lambda s, t: s["inner"].update(steps=-1),
    "unknown rates": lambda s, t: s["inner"].update(rates="wild"),
    "unknown setting of the loop": lambda s, t: s["inner"].update(speed=3),
    "adapts what is not there": lambda s, t: s["inner"].update(adapts=["nothing"]),
    "unknown setting": lambda s, t: s["network"].update(depth=3),
    "another width": lambda s, t: s["network"].update(width=17),
    "a width below 0": lambda s, t: s["network"].update(width=-17),
    "a width that is a text": lambda s, t: s["network"].update(width="wide"),
    "another number of features": lambda s, t: s["reader"].update(names=["rows"], middle=[1.0], spread=[1.0]),
    "reader of uneven lists": lambda s, t: s["reader"].update(middle=[1.0]),
    "reader of texts": lambda s, t: s["reader"].update(middle=["a", "b"]),
    "reader without spread": lambda s, t: s["reader"].update(spread=[0.0, 1.0]),
    "a missing tensor": lambda s, t: t.pop("network.basis.weight"),
    "a tensor of another shape": lambda s, t: t.update({"network.basis.bias": torch.zeros(2)}),
    "a tensor too many": lambda s, t: t.update({"network.extra": torch.zeros(2)}),
    "a number that is none": lambda s, t: t["network.basis.weight"].fill_(torch.nan),
    "a rule without a tensor": lambda s, t: t.pop("rule.common"),
    "a rule of another shape": lambda s, t: t.update({"rule.common": torch.zeros(1, 3)}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    file, settings, tensors = saved(tmp_path)
    damage(settings, tensors)
    Checkpoint(KIND, tensors, settings).save(file)
    with pytest.raises(ModelError, match=r"process\.safetensors does not fit"):
        LearnedProcess.load(file)


@pytest.mark.parametrize("settings", [{"network": []}, {"network": {}, "reader": [], "inner": []}, {"inner": 3}])
def test_settings_of_another_kind_are_refused(tmp_path, settings):
    file = tmp_path / "process.safetensors"
    Checkpoint(KIND, {}, settings).save(file)
    with pytest.raises(ModelError, match="does not fit"):
        LearnedProcess.load(file)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(ModelError, match="make it anew"):
        LearnedProcess.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no checkpoint")
    with pytest.raises(ModelError, match="make it anew"):
        LearnedProcess.load(tmp_path / "text.safetensors")


def test_a_reader_of_nothing_is_saved_too(tmp_path):
    torch.manual_seed(0)
    one = LearnedProcess(process().network.__class__(width=8, basis=4, places=2))
    one.save(tmp_path / "one.safetensors")
    assert LearnedProcess.load(tmp_path / "one.safetensors").reader == Reader()
