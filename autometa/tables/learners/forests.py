"""Extra trees and random forest: scikit-learn grows the trees, plain arrays keep them.

Geurts et al. 2006, "Extremely randomized trees"; Breiman 2001, "Random forests".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autometa.tables.learners.contract import Fitted, Job, class_shares
from autometa.tables.learners.tree_arrays import Forest, TreeArrays
from autometa.tables.state import State

MOST_TREES, FEWEST_TREES = 300, 60
# Trees times rows: what one core grows in a few seconds.
WORK = 1_200_000
TREES_AT_ONCE = 10


def tree_count(rows: int) -> int:
    """Trees to grow: the more rows, the less a further tree adds and the more it costs."""
    return int(min(MOST_TREES, max(FEWEST_TREES, WORK // rows)))


def fit(job: Job) -> Fitted:
    """Grow trees, some at a time, until there are enough or the time is over."""
    train = job.train
    model = _unfitted(job)
    wanted = tree_count(len(train))
    late = False
    while len(getattr(model, "estimators_", ())) < wanted and not late:
        model.n_estimators = min(wanted, model.n_estimators + TREES_AT_ONCE)
        model.fit(train.design.numbers, train.target, sample_weight=train.weights)
        late = job.late
    trees = [TreeArrays.of(tree.tree_, classes=job.kind != "regression") for tree in model.estimators_]
    prior = np.zeros(1) if job.kind == "regression" else class_shares(train, job.outputs)
    forest = Forest.joined(trees, width=train.design.width, prior=prior, classes=job.kind != "regression")
    return Fitted(forest, stopped_by_clock=late and len(trees) < wanted)


def _unfitted(job: Job) -> Any:
    from sklearn import ensemble

    config, regression = job.config, job.kind == "regression"
    extra = config["algorithm"] == "extra_trees"
    share = float(config["forest_max_samples"])
    family = {
        (True, True): ensemble.ExtraTreesRegressor,
        (True, False): ensemble.ExtraTreesClassifier,
        (False, True): ensemble.RandomForestRegressor,
        (False, False): ensemble.RandomForestClassifier,
    }[extra, regression]
    bootstrap = not extra or share < 1
    return family(
        n_estimators=0,
        criterion="squared_error" if regression else config["forest_criterion"],
        max_features=float(config["forest_max_features"]),
        min_samples_leaf=int(config["forest_min_samples_leaf"]),
        bootstrap=bootstrap,
        max_samples=share if bootstrap and share < 1 else None,
        n_jobs=job.threads,
        random_state=job.seed,
        warm_start=True,
    )


def restore(state: State) -> Forest:
    """What ``state()`` gave."""
    return Forest.from_state(state)
