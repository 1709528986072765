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
# Between two looks at the clock: trees, or trees times rows.
TREES_AT_ONCE, WORK_AT_ONCE = 10, 100_000
# A tree of more rows than this costs more time and memory than it is worth.
ROWS_OF_A_TREE = 100_000


def tree_count(rows: int) -> int:
    """Trees to grow: the more rows, the less a further tree adds and the more it costs."""
    return int(min(MOST_TREES, max(FEWEST_TREES, WORK // rows)))


def fit(job: Job) -> Fitted:
    """Grow trees, some at a time, until there are enough or the time is over."""
    train, classes = job.train, job.kind != "regression"
    wanted = tree_count(len(train))
    at_once = min(TREES_AT_ONCE, max(1, WORK_AT_ONCE // len(train)))
    trees: list[TreeArrays] = []
    late = False
    while len(trees) < wanted and not late:
        # Each time anew: scikit-learn's own trees take many times the memory of ours.
        few = _unfitted(job, min(at_once, wanted - len(trees)), job.seed + len(trees))
        few.fit(train.design.numbers, train.target, sample_weight=train.weights)
        trees += [TreeArrays.of(tree.tree_, classes=classes) for tree in few.estimators_]
        late = job.late
    prior = class_shares(train, job.outputs) if classes else np.zeros(1)
    forest = Forest.joined(trees, width=train.design.width, prior=prior, classes=classes)
    return Fitted(forest, stopped_by_clock=late and len(trees) < wanted)


def _unfitted(job: Job, trees: int, seed: int) -> Any:
    from sklearn import ensemble

    config, regression = job.config, job.kind == "regression"
    extra = config["algorithm"] == "extra_trees"
    share = min(float(config["forest_max_samples"]), ROWS_OF_A_TREE / len(job.train))
    family = {
        (True, True): ensemble.ExtraTreesRegressor,
        (True, False): ensemble.ExtraTreesClassifier,
        (False, True): ensemble.RandomForestRegressor,
        (False, False): ensemble.RandomForestClassifier,
    }[extra, regression]
    return family(
        n_estimators=trees,
        criterion="squared_error" if regression else config["forest_criterion"],
        max_features=float(config["forest_max_features"]),
        min_samples_leaf=int(config["forest_min_samples_leaf"]),
        bootstrap=not extra or share < 1,
        max_samples=share if share < 1 else None,
        n_jobs=job.threads,
        random_state=seed,
    )


def restore(state: State) -> Forest:
    """What ``state()`` gave."""
    return Forest.from_state(state)
