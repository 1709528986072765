"""The one outer loop: it learns, keeps what validates best, and survives being stopped."""

import itertools
import math
from functools import partial

import pytest
import torch

from autometa.adaptation import InnerLoop, Learner, MetaTrainer, Settings, Tasks, learner, meta_gradient, query_losses
from autometa.checkpoint import Checkpoint
from autometa.errors import InputError, ModelError, TrainingError

INNER = InnerLoop(rate=0.1, rates="per parameter")


def distance(params, centre):
    """Squared distance to a task's centre."""
    return ((params["w"] - centre) ** 2).sum()


def draw(generator, *, tasks=8, around=3.0):
    """Tasks whose centres lie around one point; the support set says where, not exactly."""
    centres = around + torch.randn(tasks, 2, generator=generator)
    return Tasks(centres + torch.randn(tasks, 2, generator=generator), centres)


HELD_OUT = draw(torch.Generator().manual_seed(99), tasks=64)


def validate(one):
    return float(query_losses(distance, INNER, one, HELD_OUT)[:, -1].mean())


SLOW_SGD = {"optimiser": "sgd", "rate": 0.01, "clip": 10.0}


def begin():
    return learner({"w": torch.zeros(2)}, INNER)


def trainer(steps=60, *, gradient=None, validate=validate, about="", checkpoint=None, watch=lambda _: None, **settings):
    gradient = gradient or partial(meta_gradient, distance, INNER)
    settings = Settings(steps=steps, **({"rate": 0.1, "validate_every": 10} | settings))
    return MetaTrainer(gradient, draw, validate, settings, about=about, checkpoint=checkpoint, watch=watch)


def equal(one, other):
    return all(torch.equal(a[n], b[n]) for a, b in zip(one, other, strict=True) for n in a)


def test_training_finds_the_middle_of_the_tasks_and_how_far_to_trust_the_support_set():
    found = trainer(300, cosine=True).train(begin())
    assert torch.allclose(found.params["w"], torch.tensor([3.0, 3.0]), atol=0.4)
    # Half-way to what the support set says, as a normal prior of the same variance has it: 2 * 0.25 = 1/2.
    assert torch.allclose(found.rule["w"], torch.tensor(0.25), atol=0.07)
    assert validate(found) == pytest.approx(1.0, abs=0.3)  # two numbers with a variance of 1/2 each
    assert validate(begin()) > 10


def test_the_learner_passed_in_stays_as_it_is():
    one, copy = begin(), begin()
    trainer().train(one)
    assert equal(one, copy)


def test_the_same_seed_gives_the_same_learner_and_another_does_not():
    assert equal(trainer(seed=1).train(begin()), trainer(seed=1).train(begin()))
    assert not equal(trainer(seed=1).train(begin()), trainer(seed=2).train(begin()))


class Killed(BaseException):
    """Stands for SIGKILL in the middle of a training."""


@pytest.mark.parametrize("settings", [{"optimiser": "adam"}, SLOW_SGD])
@pytest.mark.parametrize("at", [1, 10, 25, 59])
def test_a_training_that_was_killed_ends_like_an_undisturbed_one(tmp_path, at, settings):
    file, calls = tmp_path / "training.safetensors", iter(range(1000))

    def until(learner, tasks):
        if next(calls) == at:
            raise Killed
        return meta_gradient(distance, INNER, learner, tasks)

    with pytest.raises(Killed):
        trainer(gradient=until, checkpoint=file, cosine=True, **settings).train(begin())
    resumed = trainer(checkpoint=file, cosine=True, **settings).train(begin())
    assert equal(resumed, trainer(cosine=True, **settings).train(begin()))


def test_a_finished_training_is_not_repeated(tmp_path):
    file, calls = tmp_path / "training.safetensors", []
    found = trainer(checkpoint=file).train(begin())
    again = trainer(checkpoint=file, gradient=lambda *a: calls.append(a)).train(begin())
    assert equal(found, again)
    assert calls == []


def test_the_learner_with_the_lowest_validation_loss_is_kept():
    losses, seen = iter([3.0, 1.0, 2.0, 4.0]), []

    def judge(one):
        seen.append(Learner(*({n: t.clone() for n, t in part.items()} for part in one)))
        return next(losses)

    found = trainer(40, validate=judge).train(begin())
    assert equal(found, seen[1])
    assert not equal(found, seen[3])


def test_patience_ends_a_training_that_no_longer_gets_better():
    losses, told = iter([3.0, 1.0, 2.0, 2.0, 2.0, 0.5]), []
    trainer(60, validate=lambda _: next(losses), patience=3, watch=told.append).train(begin())
    assert [p.step for p in told] == [10, 20, 30, 40, 50]
    assert told[-1].best == 1.0
    assert "step 50 of 60" in str(told[-1])


def test_a_time_limit_ends_with_a_last_validation(tmp_path):
    told, file = [], tmp_path / "training.safetensors"
    held = MetaTrainer(
        partial(meta_gradient, distance, INNER), draw, validate, Settings(steps=10**6, validate_every=10**5),
        checkpoint=file, watch=told.append, time_limit=0.3,
    )  # fmt: skip
    held.train(begin())
    assert [p.step for p in told] == [held.progress.step]
    assert told[0].step < 10**5
    assert told[0].left == 0.0
    assert file.exists()


def test_a_training_that_never_validates_finitely_gives_the_start_back():
    assert equal(trainer(validate=lambda _: math.nan).train(begin()), begin())


def test_gradients_that_are_not_finite_are_passed_over_but_not_for_ever():
    def broken(one, tasks, *, good):
        value, gradient = meta_gradient(distance, INNER, one, tasks)
        if good():
            return value, gradient
        return value * math.nan, Learner({"w": torch.full((2,), math.nan)}, gradient.rule)

    turns = iter(range(1000))
    training = trainer(gradient=partial(broken, good=lambda: next(turns) % 2))
    found = training.train(begin())
    assert torch.isfinite(found.params["w"]).all()
    assert math.isfinite(training.progress.loss)
    assert validate(found) < validate(begin())
    with pytest.raises(TrainingError, match="in 21 steps"):
        trainer(gradient=partial(broken, good=lambda: False)).train(begin())


def test_long_gradients_are_clipped():
    def far(one, tasks):
        return torch.zeros(()), Learner({"w": torch.tensor([30.0, 40.0])}, {"w": torch.zeros(1, 2)})

    found = trainer(1, gradient=far, optimiser="sgd", rate=1.0, clip=5.0, validate_every=1).train(begin())
    assert torch.allclose(found.params["w"], torch.tensor([-3.0, -4.0]))
    found = trainer(1, gradient=far, optimiser="sgd", rate=1.0, clip=500.0, validate_every=1).train(begin())
    assert torch.allclose(found.params["w"], torch.tensor([-30.0, -40.0]))


def test_the_rate_falls_along_a_half_cosine():
    seen = []

    def constant(one, tasks):
        seen.append(float(one.params["w"][0]))
        return torch.zeros(()), Learner({"w": torch.ones(2)}, {"w": torch.zeros(1, 2)})

    trainer(4, gradient=constant, optimiser="sgd", rate=1.0, cosine=True, validate_every=9).train(begin())
    steps = [a - b for a, b in itertools.pairwise(seen)]
    assert steps == pytest.approx([1.0, (1 + 0.5**0.5) / 2, 0.5])


def test_the_last_step_is_validated_whatever_its_number():
    told = []
    trainer(25, watch=told.append).train(begin())
    assert [p.step for p in told] == [10, 20, 25]


def test_progress_tells_the_mean_loss_since_the_last_report_and_the_time_left():
    losses, told = iter([1.0, 2.0, 3.0, 8.0]), []

    def scripted(one, tasks):
        return torch.tensor(next(losses)), Learner({"w": torch.zeros(2)}, {"w": torch.zeros(1, 2)})

    trainer(4, gradient=scripted, validate_every=2, watch=told.append).train(begin())
    assert [p.loss for p in told] == [1.5, 5.5]
    assert told[0].left == pytest.approx(told[0].seconds)
    assert told[1].left == 0


def noisy(params, centre):
    """A loss with something random of its own."""
    return ((torch.nn.functional.dropout(params["w"], 0.3) - centre) ** 2).sum()


def test_what_is_random_in_a_loss_comes_from_the_seed_as_well(tmp_path):
    inner, file, calls = InnerLoop(rate=0.1), tmp_path / "training.safetensors", iter(range(1000))
    start = learner({"w": torch.zeros(2)}, inner)

    def until(one, tasks):
        if next(calls) == 25:
            raise Killed
        return meta_gradient(noisy, inner, one, tasks)

    def judge(one):
        return float(query_losses(noisy, inner, one, HELD_OUT).mean())

    whole = partial(meta_gradient, noisy, inner)
    found = trainer(gradient=whole, validate=judge).train(start)
    before = torch.random.get_rng_state()
    assert equal(found, trainer(gradient=whole, validate=judge).train(start))
    assert torch.equal(before, torch.random.get_rng_state())
    with pytest.raises(Killed):
        trainer(gradient=until, validate=judge, checkpoint=file).train(start)
    assert equal(found, trainer(gradient=whole, validate=judge, checkpoint=file).train(start))


def test_batches_of_neighbouring_seeds_are_others():
    drawn = {}
    for seed in (1, 2):

        def note(one, tasks, seed=seed):
            drawn.setdefault(seed, set()).add(float(tasks.query[0, 0]))
            return meta_gradient(distance, INNER, one, tasks)

        trainer(20, gradient=note, seed=seed).train(begin())
    assert len(drawn[1]) == len(drawn[2]) == 20
    assert not drawn[1] & drawn[2]


def test_a_gradient_is_matched_by_name():
    inner = InnerLoop()

    def turned(one, tasks):
        value, gradient = meta_gradient(two, inner, one, tasks)
        return value, Learner(dict(reversed(gradient.params.items())), {})

    def two(params, centre):
        return ((params["a"] - 1) ** 2 + (params["b"] + 3) ** 2 + 0 * centre.sum()).sum()

    def validate(one):
        return float(two(one.params, torch.zeros(2)))

    start = learner({"a": torch.zeros(1), "b": torch.zeros(1)}, inner)
    found = trainer(200, gradient=turned, validate=validate).train(start)
    assert float(found.params["a"]) == pytest.approx(1, abs=0.1)
    assert float(found.params["b"]) == pytest.approx(-3, abs=0.1)


def test_the_best_and_the_patience_outlive_a_kill(tmp_path):
    file, script, seen = tmp_path / "training.safetensors", [3.0, 1.0, 2.0, 2.5, 2.5, 0.5], []

    def judge(one):
        seen.append(one.params["w"].clone())
        return script[len(seen) - 1]

    def until(one, tasks):
        if len(seen) == 3:
            raise Killed
        return meta_gradient(distance, INNER, one, tasks)

    with pytest.raises(Killed):
        trainer(gradient=until, validate=judge, checkpoint=file, patience=3).train(begin())
    found = trainer(validate=judge, checkpoint=file, patience=3).train(begin())
    assert len(seen) == 5  # worse than the second three times
    assert torch.equal(found.params["w"], seen[1])


def test_a_kill_in_the_middle_of_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "one.safetensors"
    Checkpoint("some kind", {"a": torch.zeros(3)}).save(file)

    def dies(_):
        raise Killed

    for place in ("os.fsync", "pathlib.Path.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(place, lambda *_: dies(_))
            with pytest.raises(Killed):
                Checkpoint("some kind", {"a": torch.ones(3)}).save(file)
        assert torch.equal(Checkpoint.load(file, "some kind").tensors["a"], torch.zeros(3))
    Checkpoint("some kind", {"a": torch.ones(3)}).save(file)
    assert torch.equal(Checkpoint.load(file, "some kind").tensors["a"], torch.ones(3))


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    file = tmp_path / "training.safetensors"
    trainer(10, checkpoint=file).train(begin())
    with pytest.raises(ModelError, match="of another training"):
        trainer(20, checkpoint=file).train(begin())
    with pytest.raises(ModelError, match="of another training"):
        trainer(10, about="FOMAML", checkpoint=file).train(begin())
    for start in ({"w": torch.zeros(3)}, {"w": torch.zeros(2, dtype=torch.float64)}, {"v": torch.zeros(2)}):
        with pytest.raises(ModelError, match="other parameters"):
            trainer(10, checkpoint=file).train(learner(start, INNER))


def test_a_flipped_bit_and_a_missing_tensor_are_found(tmp_path):
    file = tmp_path / "training.safetensors"
    trainer(10, checkpoint=file).train(begin())
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ModelError, match="checksum"):
        trainer(10, checkpoint=file).train(begin())
    file.write_bytes(whole)
    found = Checkpoint.load(file, "meta-training")
    for name in ("now.params.w", "best.rule.w", "exp_avg.params.w"):
        fewer = {n: t for n, t in found.tensors.items() if n != name}
        Checkpoint(found.kind, fewer, found.settings).save(file)
        with pytest.raises(ModelError, match=r"damaged|other parameters"):
            trainer(10, checkpoint=file).train(begin())


@pytest.mark.parametrize("settings", [{"optimiser": "Adam"}, {"steps": 0}, {"validate_every": 0}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InputError):
        trainer(**settings)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_damaged_file_is_refused(tmp_path, content):
    file = tmp_path / "training.safetensors"
    file.write_bytes(content)
    with pytest.raises(ModelError, match="make it anew"):
        trainer(10, checkpoint=file).train(begin())


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "one.safetensors"
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.tensor(True)}
    Checkpoint("some kind", tensors, {"width": 3}, {"made from": ["x"]}).save(file)
    found = Checkpoint.load(file, "some kind")
    assert all(torch.equal(found.tensors[n], t) for n, t in tensors.items())
    assert (found.settings, found.card) == ({"width": 3}, {"made from": ["x"]})
    assert [p.name for p in tmp_path.iterdir()] == ["one.safetensors"]
    with pytest.raises(ModelError, match="of kind 'some kind'"):
        Checkpoint.load(file, "another")
    with pytest.raises(ModelError, match="make it anew"):
        Checkpoint.load(tmp_path / "none", "some kind")


def test_a_checkpoint_of_another_format_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "one.safetensors"
    monkeypatch.setattr("autometa.checkpoint.FORMAT", 99)
    Checkpoint("some kind", {}).save(file)
    monkeypatch.undo()
    with pytest.raises(ModelError, match="format 99"):
        Checkpoint.load(file, "some kind")
