"""The recorded tables of the data folder load, all of them, as what their files say."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autometa.records.collection import Collection

# The tables of the data folder

DATA = Path(os.environ.get("AUTOMETA_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
TABLES = DATA / "hpo_tables"
TASKS = {
    "fcnet_hpolib": 4, "hpobench_mlp": 8, "nasbench201": 3, "nasbench_graph": 7, "nasbench_macro": 1, "oboe": 320,
    "pmlb_sklearn": 111, "salinas_deepar": 11, "salinas_xgboost": 10, "taskset_text": 12, "yahpo_lcbench": 23,
    "yahpo_nb301": 1, "yahpo_rbv2_ranger": 79, "yahpo_rbv2_rpart": 80, "yahpo_rbv2_xgboost": 82,
}  # fmt: skip
CASH = {"oboe", "pmlb_sklearn"}  # a list of hyperparameters per algorithm
needs_data = pytest.mark.skipif(
    not TABLES.exists(), reason=f"no data folder at {DATA}: set AUTOMETA_DATA to check the public tables"
)


class Table:
    """A folder as the reader sees it, and as its files are."""

    def __init__(self, name):
        self.name = name
        self.collection = Collection.load(TABLES / name)
        self.document = json.loads((TABLES / name / "space.json").read_text())
        self.rows = pd.read_parquet(TABLES / name / "evaluations.parquet")
        self.own_configs = (TABLES / name / "configs.parquet").exists()
        fidelity = self.document["fidelity"]
        if fidelity is None:
            self.share = pd.Series(1.0, index=self.rows.index)
        else:
            self.rows = self.rows[self.rows["fidelity"] > 0]
            self.share = self.rows["fidelity"] / max(fidelity["levels"])
        values = self.rows[self.document["objective"]["metric"]].astype(float)
        sign = {"maximize": -1.0, "minimize": 1.0}[self.document["objective"]["direction"]]
        self.loss = (sign * values).where(np.isfinite(values))

    @property
    def key(self):
        return ["config_id"] if self.own_configs else [h["name"] for h in self.document["hyperparameters"]]


@pytest.fixture(scope="module", params=sorted(TASKS))
def table(request):
    return Table(request.param)


@needs_data
def test_every_folder_is_expected():
    assert sorted(p.name for p in TABLES.iterdir()) == sorted(TASKS)


@needs_data
def test_numbers_are_those_of_the_files(table):
    collection = table.collection
    assert len(collection.names) == TASKS[table.name] == table.rows["task_id"].nunique()
    assert len(collection.configs) == len(table.rows[table.key].drop_duplicates())
    assert len({tuple(config.items()) for config in collection.configs}) == len(collection.configs)
    assert len(collection.evaluations) == len(table.rows)
    whole = table.rows[table.share == 1.0]
    tasks_of_a_config = whole.groupby(table.key, observed=True)["task_id"].nunique()
    assert collection.shared.sum() == (tasks_of_a_config > 1).sum()
    assert collection.evaluated.sum() == len(whole[["task_id", *table.key]].drop_duplicates())


@needs_data
def test_losses_are_those_of_the_files(table):
    collection = table.collection
    whole = table.loss[table.share == 1.0]
    tasks = table.rows["task_id"].astype(str)
    best = whole.groupby(tasks[whole.index]).min()
    np.testing.assert_allclose(np.nanmin(collection.full, axis=1), best.loc[list(collection.names)], rtol=1e-7)
    failed = table.loss.isna().groupby(tasks).sum()
    for name in list(collection.names)[:5]:
        history = collection.tasks[name].history
        assert len(history) == (tasks == name).sum()
        assert sum(t.state == "failed" for t in history) == failed[name]
        assert {t.state for t in history} <= {"complete", "failed"}


@needs_data
def test_budgets_are_shares(table):
    budgets = np.unique(table.collection.evaluations.budget)
    assert budgets[0] > 0.0
    assert budgets[-1] == 1.0
    np.testing.assert_allclose(budgets, np.unique(table.share), atol=1e-6)


@needs_data
def test_configs_fit_their_space(table):
    space, configs = table.collection.space, table.collection.configs
    sample = np.random.default_rng(0).permutation(len(configs))[:300]
    for i in sample:
        space.check(configs[i])
        assert space.from_unit(space.to_unit(configs[i])) == configs[i]


@needs_data
@pytest.mark.parametrize("table", sorted(set(TASKS) - CASH), indirect=True)
def test_values_are_those_of_the_files(table):
    rows = pd.read_parquet(TABLES / table.name / "configs.parquet") if table.own_configs else table.rows
    rows = rows.set_index("config_id") if table.own_configs else rows
    e = table.collection.evaluations
    for i in np.random.default_rng(0).permutation(len(e))[:200]:
        row = rows.loc[table.rows["config_id"].iloc[i]] if table.own_configs else table.rows.iloc[i]
        config = table.collection.configs[e.config[i]]
        for p in table.collection.space:
            value = row[p.name]
            if p.name not in config:
                assert pd.isna(value)
            elif isinstance(value, str):
                assert config[p.name] == value
            else:
                assert config[p.name] == pytest.approx(value, rel=1e-6)


@needs_data
@pytest.mark.parametrize("table", sorted(CASH), indirect=True)
def test_algorithms_have_their_own_hyperparameters(table):
    listed = pd.read_parquet(TABLES / table.name / "configs.parquet").set_index("config_id")
    listed = listed.loc[listed.index.isin(table.rows["config_id"])]
    for config, (_, row) in zip(table.collection.configs, listed.iterrows(), strict=True):
        assert config["algorithm"] == row["algorithm"]
        for name, value in config.items():
            cell = row.get(name.partition(".")[2].removesuffix(".set"))
            if name.endswith(".set"):
                assert value == ("none" if pd.isna(cell) else "given")
            elif isinstance(value, str):
                assert value == ("none" if pd.isna(cell) else str(cell)) or name == "algorithm"
            else:
                assert value == pytest.approx(float(cell))
