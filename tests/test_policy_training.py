"""`autometa meta-train`: what is learned from and what is not, kills, the card, and what is refused."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from test_prior_tasks import collection
from typer.testing import CliRunner

from autometa.checkpoint import Checkpoint
from autometa.cli import app
from autometa.errors import InputError, ModelError
from autometa.metatrain.material import Material
from autometa.metatrain.policy_training import Recipe, train_policy
from autometa.metatrain.process_training import Settings
from autometa.metatrain.task_split import Split, Twin, read_twins
from autometa.policies.learned_process import LearnedProcess

SPACE = {
    "name": "made/one",
    "kind": "made up",
    "objective": {"metric": "loss", "direction": "minimize"},
    "fidelity": None,
    "cost": None,
    "hyperparameters": [{"name": "x", "type": "float", "lower": 0.0, "upper": 1.0, "log": False}],
}


def table(folder, names, *, seed=0, configs=20, shared=True):
    """A public table of bowls."""
    rng = np.random.default_rng(seed)
    parts = []
    for i, name in enumerate(names):
        x = np.linspace(0, 1, configs) if shared else np.sort(rng.random(configs))
        loss = (x - rng.uniform(0.5, 0.8)) ** 2 + rng.normal(0, 0.05, configs) + i
        parts.append(pd.DataFrame({"task_id": name, "x": x, "loss": loss}))
    folder.mkdir(parents=True)
    (folder / "space.json").write_text(json.dumps(SPACE))
    pd.concat(parts).to_parquet(folder / "evaluations.parquet")
    return folder


@pytest.fixture
def data(tmp_path):
    return table(tmp_path / "data" / "bowls", [f"t{i}" for i in range(12)])


def arguments(data, out, *more):
    given = ["--data", data, "--synthetic", 0, "--steps", 20, "--seed", 3, "--out", out, *more]
    return ["meta-train", *map(str, given)]


def call(*given):
    return CliRunner().invoke(app, [*map(str, given)])


def tensors(path):
    return Checkpoint.load(path, "policy").tensors


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_a_training_that_was_killed_ends_like_an_undisturbed_one(data, tmp_path):
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    first = tmp_path / "killed.safetensors.training"
    child = subprocess.Popen(
        [sys.executable, "-m", "autometa", *arguments(data, killed)], stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    seen = next(line for line in child.stderr if line.startswith("step 3 "))
    child.kill()
    child.wait()
    child.stderr.close()
    assert "s left" in seen
    assert first.exists()
    assert not killed.exists()

    done = call(*arguments(data, killed))
    assert done.exit_code == 0, done.output
    assert "going on with" in done.stderr
    assert "step 1 of" not in done.stderr
    assert not first.exists()
    assert call(*arguments(data, whole)).exit_code == 0
    assert equal(tensors(killed), tensors(whole))
    assert sorted(p.name for p in tmp_path.glob("*.safetensors*")) == ["killed.safetensors", "whole.safetensors"]

    # The same file cannot be gone on with by another training.
    with pytest.raises(ZeroDivisionError):
        train_policy(recipe(data, killed), say=lambda line: line.startswith("step") and 1 / 0)
    refused = call(*arguments(data, killed, "--algorithm", "anil"))
    assert refused.exit_code == 2
    assert "is of another training" in refused.stderr


def recipe(data, out, **more):
    settings = {"steps": 4, "validate_every": 2} | more.pop("settings", {})
    return Recipe(**({"data": [data], "out": out, "synthetic": 0.0, "settings": Settings(**settings)} | more))


def test_the_card_says_what_a_policy_has_learned_from(data, tmp_path):
    out, exclude = tmp_path / "policy.safetensors", tmp_path / "exclude.txt"
    exclude.write_text("t0\nt5  # reported on\n\nelsewhere\n")
    done = call(*arguments(data, out, "--exclude", exclude, "--algorithm", "reptile", "--synthetic", 0.5))
    assert done.exit_code == 0, done.output
    card = LearnedProcess.load(out).card
    assert f"{out}: validation regret {card['validation']['regret']:.4f}\n" == done.stdout
    assert (card["algorithm"], card["steps"], card["settings"]["seed"]) == ("reptile", 20, 3)
    assert card["versions"].keys() == {"autometa", "torch"}
    assert card["seconds"] > 0
    (told,) = card["collections"]
    assert told["name"] == "bowls"
    assert len(told["checksum"]) == 64
    assert told["excluded"] == 2
    assert not {"t0", "t5"} & set(told["learned_from"])
    assert len(told["learned_from"]) + told["held_out"] == 10
    assert card["validation"]["tasks"] == told["held_out"] == 1
    assert card["synthetic"] == {"families": 256, "share": 0.5}


def test_training_lowers_the_regret(data, tmp_path):
    lines = []
    found = train_policy(
        recipe(data, tmp_path / "p", settings={"steps": 80, "validate_every": 80, "rate": 5e-3}), say=lines.append
    )
    start = train_policy(recipe(data, tmp_path / "q", settings={"steps": 1}), say=lines.append)
    assert found.card["validation"]["regret"] < start.card["validation"]["regret"] + 0.02
    assert found.card["validation"]["regret"] < 0.2


def test_a_time_limit_ends_with_the_best_so_far(data, tmp_path):
    lines = []
    settings = {"steps": 100_000, "validate_every": 50_000}
    found = train_policy(recipe(data, tmp_path / "p", time_limit=1.0, settings=settings), say=lines.append)
    assert 1 <= found.card["steps"] < 50_000
    assert found.card["seconds"] < 20
    assert np.isfinite(found.card["validation"]["regret"])
    assert lines[-1].endswith(" 0 s left")


def test_synthetic_tasks_alone_are_enough(tmp_path):
    given = {"data": (), "out": tmp_path / "p", "synthetic": 1.0, "families": 3}
    found = train_policy(Recipe(**given, settings=Settings(steps=2, validate_every=2)), say=lambda _: None)
    assert found.card["tasks"] == 0
    assert found.card["validation"]["tasks"] == 48
    again = Material.gather((), synthetic=1.0, families=3, seed=0, say=lambda _: None)
    trained = {name for source in again.sources for name in source.names}
    assert len(trained) == 48
    assert not trained & {target.name for target in again.validate.targets}


def test_tasks_that_share_no_config_are_learned_from_one_by_one(tmp_path):
    folder = table(tmp_path / "apart", [f"t{i}" for i in range(6)], shared=False)
    found = Material.gather([folder], synthetic=0.0, seed=0, say=lambda _: None)
    assert [len(source) for source in found.sources] == [1] * 5
    assert sum(found.shares) == pytest.approx(1.0)
    assert len(found.validate.targets) == 1


# What is dealt where


def deal(collections, **more):
    return Split.deal(collections, **({"seed": 0} | more))


def named(split, collections, part):
    rows = getattr(split, part)
    return {c.names[i] for c, chosen in zip(collections, rows, strict=True) for i in chosen}


def random_collection(names, *, seed, **more):
    return collection(np.random.default_rng(seed).random((len(names), 30)), names=names, **more)


def test_groups_are_held_out_whole_whichever_collections_they_are_in():
    one = random_collection(["007", "1464", *"abcdefgh"], seed=0)
    other = random_collection(["7", "01464", *"abcdefgh"], seed=1)
    for seed in range(20):
        split = deal([one, other], seed=seed)
        learned, held = (named(split, [one, other], part) for part in ("learn", "validate"))
        bare = [{name.lstrip("0") for name in names} for names in (learned, held)]
        assert not bare[0] & bare[1]
        assert bare[0] | bare[1] == {"7", "1464", *"abcdefgh"}
        assert sum(len(rows) for rows in split.validate) == 2  # 15 % of 20 tasks has no room for two pairs


def test_twins_and_families_of_what_is_excluded_are_left_out_too():
    losses = np.random.default_rng(0).random((6, 30))
    losses[4] = 3 * losses[3]  # a near-duplicate by its losses
    found = collection(losses, names=[*"abcdef"], families=["one", "one", "c", "d", "e", "f"])
    twins = [Twin("made", "f", "wine", "meta_train"), Twin("made", "c", "beer", "meta_valid")]
    assert deal([found], exclude=["a"]).excluded == (2,)
    assert deal([found], exclude=["one", "d"]).excluded == (4,)
    split = deal([found], exclude=["wine"], twins=twins)
    assert split.excluded == (2,)
    assert not {"c", "f"} & (named(split, [found], "learn") | named(split, [found], "validate"))


def test_overlap_is_found_beside_the_data(tmp_path):
    folder = table(tmp_path / "data" / "hpo" / "bowls", ["0031", "44"])
    assert read_twins([folder]) == []
    (tmp_path / "data" / "overlap.csv").write_text("collection,task_id,table,table_split\nbowls,0031,wine,meta_valid\n")
    assert read_twins([folder]) == [Twin("bowls", "0031", "wine", "meta_valid")]
    with pytest.raises(InputError, match="tasks of two datasets or more"):
        Material.gather([folder], synthetic=0.0, seed=0, say=lambda _: None)
    (tmp_path / "data" / "overlap.csv").write_text("task,table\n1,2\n")
    with pytest.raises(InputError, match="has the columns collection"):
        read_twins([folder])


# What is refused


REFUSED = {
    "no data": (["--out", "p"], "name folders, or give --synthetic 1"),
    "a share": (["--synthetic", "1.5", "--out", "p"], "between 0 and 1; got 1.5"),
    "a part": (["--part", "hypernetwork", "--out", "p"], "hypernetwork, which is not built"),
    "an algorithm": (["--algorithm", "evolution", "--out", "p"], "evolution"),
    "a time": (["--synthetic", "1", "--time", "soon", "--out", "p"], "a time is written like"),
    "no steps": (["--synthetic", "1", "--steps", "0", "--out", "p"], "1 or more; got steps=0"),
    "a folder": (["--data", "nowhere", "--out", "p"], "is no folder"),
    "an empty folder": (["--data", ".", "--out", "p"], "has neither"),
    "exclude": (["--data", ".", "--exclude", "nothing.txt", "--out", "p"], "nothing.txt cannot be read"),
    "a folder for it": (["--data", ".", "--out", "there/p"], "the folder of --out must be there"),
    "a file of others": (["--data", ".", "--out", "notes.txt"], "is neither"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_is_refused_and_leaves_nothing_behind(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    done = call("meta-train", *given)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_nothing_left_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="1 of 12 is left"):
        train_policy(recipe(data, tmp_path / "p", exclude=[f"t{i}" for i in range(11)]), say=lambda _: None)
    constant = collection(np.ones((3, 8)))
    assert all(len(part) for part in (named(deal([constant]), [constant], p) for p in ("learn", "validate")))


def test_a_file_that_is_no_training_is_refused(data, tmp_path):
    (tmp_path / "p.training").write_bytes(b"something else")
    with pytest.raises(ModelError, match="is no checkpoint of autometa"):
        train_policy(recipe(data, tmp_path / "p"), say=lambda _: None)


# Replaying


def test_a_checkpoint_is_replayed(data, tmp_path):
    out = tmp_path / "policy.safetensors"
    train_policy(recipe(data, out), say=lambda _: None)
    replay = ["replay", data, "--trials", 4, "--folds", 3, "--workers", 1, "--policies"]
    done = call(*replay, "random,learned,learned_alone", "--checkpoint", out)
    assert done.exit_code == 0, done.output
    assert "has learned from 11 of these tasks" in done.stderr
    assert "learned_alone" in done.stdout
    done = call(*replay, "learned", "--checkpoint", tmp_path / "none.safetensors")
    assert done.exit_code == 2
    assert "is no checkpoint of autometa" in done.stderr


def test_without_any_process_the_learned_policy_does_without(data, monkeypatch):
    monkeypatch.setattr(LearnedProcess, "shipped", lambda: None)
    replay = ["replay", data, "--trials", 4, "--folds", 3, "--workers", 1, "--policies"]
    assert call(*replay, "learned").exit_code == 0
    done = call(*replay, "learned_alone")
    assert done.exit_code == 2
    assert "give --checkpoint" in done.stderr
