"""The collections that are shipped: whole, quick to load, of no raw data, and apart from what is reported on."""

import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from autometa.records.collection import Collection
from autometa.records.groups import twins
from autometa.records.own_files import CARD, FEATURES, HEAD, TAIL, TRIALS, read_trials
from autometa.tables.meta_features import NAMES

ROOT = Path(__file__).parents[1] / "meta_datasets"
FOLDERS = sorted(p.parent for p in ROOT.glob(f"*/{CARD}"))
MOST_BYTES = 15_000_000
SECONDS = 1.0
TRAINING = "meta_train"  # the one split that anything may be trained on

each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)


@pytest.fixture(scope="module")
def loaded():
    return {folder.name: Collection.load(folder) for folder in FOLDERS}


@each
def test_it_loads_within_a_second(folder):
    Collection.load(folder)  # whatever has to be imported
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        Collection.load(folder)
        seconds.append(time.process_time() - begun)
    assert min(seconds) < SECONDS


@each
def test_files_are_small_and_no_others(folder):
    assert {p.name for p in folder.iterdir()} <= {CARD, TRIALS, FEATURES, "space.toml"}
    assert (folder / TRIALS).stat().st_size <= MOST_BYTES


@each
def test_the_card_says_what_it_must(folder, loaded):
    card = loaded[folder.name].card
    assert card.name == folder.name
    assert card.about
    assert card.objective_version
    assert card.machines
    assert {"catboost", "lightgbm", "numpy", "scikit-learn", "torch"} <= set(card.versions)
    for dataset in card.datasets:
        assert dataset.family, dataset
        assert dataset.origin, dataset
        assert dataset.licence, dataset
        assert dataset.kind in {"binary", "multiclass", "regression"}
        assert len({dataset.split, TRAINING}) == (1 if folder.name == "tabular" else 2)


@each
def test_nothing_in_it_is_raw_data(folder, loaded):
    _, space, table = read_trials(folder)
    known = {name for name, _ in HEAD + TAIL} | {f"config.{p.name}" for p in space}
    assert set(table.schema.names) == known
    longest = max(len(curve or ()) for curve in table["curve"].to_pylist())
    assert longest <= 40
    for name, features in loaded[folder.name].meta_features.items():
        assert name in loaded[folder.name].names
        assert set(features) == {*NAMES, "constant_loss"}


@each
def test_shared_configs_are_on_every_table_that_got_so_far(folder, loaded):
    found = loaded[folder.name]
    counts = found.evaluated.sum(axis=1)
    assert (counts >= 20).mean() > 0.6
    assert found.shared.sum() >= 20


@each
def test_most_evaluations_went_well(folder, loaded):
    assert np.isfinite(loaded[folder.name].evaluations.loss).mean() > 0.98


def test_no_family_and_no_name_is_on_both_sides(loaded):
    sides = {}
    for found in loaded.values():
        for dataset in found.card.datasets:
            sides.setdefault(dataset.family, set()).add(dataset.split)
            sides.setdefault(dataset.name, set()).add(dataset.split)
    assert {name for name, splits in sides.items() if len(splits) > 1} == set()


def test_no_near_duplicate_is_on_both_sides(loaded):
    for one, other in combinations(loaded.values(), 2):
        places = {str(sorted(c.items())): i for i, c in enumerate(other.configs)}
        pairs = [(i, places[k]) for i, c in enumerate(one.configs) if (k := str(sorted(c.items()))) in places]
        mine, theirs = (list(p) for p in zip(*pairs, strict=True))
        assert twins(one.full[:, mine], other.full[:, theirs]) == []
