"""The tables we choose settings on, report on and train on share nothing: else no number counts."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autometa.records.collection import Collection

DATA = Path(os.environ.get("AUTOMETA_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
INDEX = DATA / "tabular" / "index.csv"

pytestmark = pytest.mark.skipif(
    not INDEX.exists(), reason=f"no data folder at {DATA}: set AUTOMETA_DATA to check the splits"
)


def read_list(name):
    return (DATA / "tabular" / f"{name}.txt").read_text().split()


@pytest.fixture(scope="module")
def cards():
    return pd.read_csv(INDEX, index_col="name")


@pytest.fixture(scope="module")
def group_of(cards):
    """Which of the three groups each table is in; tables of no group are left out."""
    groups = dict.fromkeys(cards.index[cards["split"] == "meta_train"], "meta_train")
    for group in ("dev12", "bench20"):
        for name in read_list(group):
            assert name not in groups, f"{name} is in {group} and in {groups[name]}"
            groups[name] = group
    return groups


def groups_by(values, group_of):
    """The groups that each value (a family, a name, a fingerprint) occurs in."""
    found = {}
    for name, value in values:
        if name in group_of:
            found.setdefault(value, set()).add(group_of[name])
    return found


def shared(found):
    return sorted(str(value) for value, groups in found.items() if len(groups) > 1)


def test_lists_are_of_known_validation_tables(cards):
    for group, size in (("dev12", 12), ("bench20", 20)):
        names = read_list(group)
        assert len(set(names)) == size
        assert set(cards.loc[names, "split"]) == {"meta_valid"}


def test_no_family_is_on_two_sides(cards, group_of):
    assert shared(groups_by(cards["family"].items(), group_of)) == []


def test_no_openml_name_is_on_two_sides(cards, group_of):
    names = cards["openml_name_if_known"].dropna().str.lower()
    assert shared(groups_by(names.items(), group_of)) == []


def test_no_source_file_is_on_two_sides(cards, group_of):
    files = (cards["source_repo"] + "/" + cards["source_path"]).str.lower()
    assert shared(groups_by(files.items(), group_of)) == []


def test_recorded_tasks_agree_with_the_index_on_the_side_of_their_table(cards):
    overlap = pd.read_csv(DATA / "overlap.csv", dtype=str)
    assert set(overlap["table"]) <= set(cards.index)
    told = overlap["table"].map(cards["split"])
    assert overlap[told != overlap["table_split"]].empty


def test_no_recorded_task_ties_tables_of_two_sides(group_of):
    overlap = pd.read_csv(DATA / "overlap.csv", dtype=str)
    # Numbers are OpenML data ids, the same in every collection (oboe pads them); lcbench's are task ids.
    source = np.where(overlap["collection"] == "yahpo_lcbench", "task", "data")
    ids = source + ":" + overlap["task_id"].str.lstrip("0")
    assert shared(groups_by(zip(overlap["table"], ids, strict=True), group_of)) == []


def test_no_column_of_many_values_stands_on_two_sides(group_of):
    """A twin under another name would bring its columns along."""
    found = {}
    for name, group in group_of.items():
        frame = pd.read_parquet(DATA / "tabular" / f"{name}.parquet")
        for column in frame.select_dtypes("number"):
            values = frame[column].to_numpy(dtype=np.float32)
            if len(np.unique(values)) > 50:
                print_ = int(pd.util.hash_array(values).sum())
                found.setdefault((len(values), print_), set()).add((group, name))
    twins = [sorted(tables) for tables in found.values() if len({group for group, _ in tables}) > 1]
    assert twins == []


COLLECTIONS = sorted((Path(__file__).parents[1] / "meta_datasets").glob("*/card.toml"))


@pytest.mark.parametrize("card", COLLECTIONS, ids=lambda c: c.parent.name)
def test_a_collection_holds_the_tables_of_its_split(card, cards):
    found = Collection.load(card.parent)
    told = {d.name: d.split for d in found.card.datasets}
    assert cards.loc[list(told), "split"].to_dict() == told
    assert {d.name: d.family for d in found.card.datasets} == cards.loc[list(told), "family"].to_dict()


@pytest.mark.parametrize("card", COLLECTIONS, ids=lambda c: c.parent.name)
def test_a_training_collection_has_no_table_of_the_lists(card):
    found = Collection.load(card.parent)
    training = set(found.splits.get("meta_train", ()))
    assert not training & {*read_list("dev12"), *read_list("bench20")}


@pytest.mark.parametrize("card", COLLECTIONS, ids=lambda c: c.parent.name)
def test_no_twin_of_a_training_table_is_a_validation_table(card, cards):
    """Recorded tasks that are the same data tie tables together; see overlap.csv."""
    found = Collection.load(card.parent)
    overlap = pd.read_csv(DATA / "overlap.csv", dtype=str)
    overlap["task_id"] = overlap["task_id"].str.lstrip("0")
    for _, tied in overlap.groupby(["collection", "task_id"]):
        splits = {cards.loc[t, "split"] for t in tied["table"]}
        assert len(splits & {d.split for d in found.card.datasets if d.name in set(tied["table"])}) <= 1
        assert len(splits) == 1
