"""Every table of the data folder can be replayed."""

import os
from pathlib import Path

import numpy as np
import pytest

from autometa.records.reading import read_collection
from autometa.records.replays import Replays, Settings
from autometa.records.sources import Folds
from autometa.search.replay_policies import POLICIES

DATA = Path(os.environ.get("AUTOMETA_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
TABLES = sorted((DATA / "hpo_tables").glob("*/space.json"))
NAMES = ("random", "portfolio", "source_mixture")

pytestmark = pytest.mark.skipif(not TABLES, reason=f"no data folder at {DATA}: set AUTOMETA_DATA to replay its tables")


@pytest.mark.parametrize("folder", [p.parent for p in TABLES], ids=lambda p: p.name)
def test_a_table_can_be_replayed(folder):
    collection = read_collection(folder)
    folds = Folds.deal(collection, 10)
    replays = Replays(folds, {n: POLICIES[n] for n in NAMES}, Settings(trials=4, seeds=1))
    number = next(iter(replays.targets))
    target, prior = replays.targets[number], folds.prior(number)
    # Where tasks share configs, only these are candidates, and only they are known of the sources.
    if collection.shared.any():
        assert set(map(id, target.pool)) <= {id(collection.configs[i]) for i in np.flatnonzero(collection.shared)}
    assert set(map(id, prior.pool)) <= {id(collection.configs[i]) for i in np.flatnonzero(collection.shared)}
    assert target.name not in prior.names
    for name in NAMES:
        (run,) = replays.work(name, [number]).values()
        assert len(set(run.places.tolist())) == 4
        assert np.isfinite(target.regrets[run.places]).all()
