"""What the inputs say of the target: column by column, and to quick learners (landmarkers).

Pfahringer, Bensusan and Giraud-Carrier 2000, "Meta-learning by landmarking various learning algorithms". Ours differ:
the rows are few and as even over the classes as they can be, one split replaces cross-validation, and a score of 0 is
that of a constant prediction whatever the number of classes.

Letters: n rows, f columns of the design, c classes.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.space import Config
from autometa.tables.measures import balanced_accuracy, r2
from autometa.tables.preprocess import Preprocessor
from autometa.tables.table import Table

ROWS = 600
# With more classes each would have too few rows to be learnt, and trees would take long.
MOST_CLASSES = 20
# Every column more of the design costs time, and a linear learner on so few rows gains nothing from it.
MOST_WIDTH = 100
TREES, NEIGHBOURS = 12, 7
# A regression target is cut into so many classes for naive Bayes.
SLICES = 5
# Three rows of ten validate, and of every class with two rows or more at least one does.
_VALIDATING = (1, 5, 8)
_DESIGN: Config = {
    "algorithm": "linear",
    "category_encoding": "onehot",
    "rare_categories": 5,
    "missing_indicators": False,
    "scaling": "robust",
    "imputation": "median",
}
LEARNERS = ("stump", "bayes", "nearest", "neighbours", "linear", "forest")


def dependence(table: Table, ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each column by itself says of the target: 0 is what chance says, 1 is all.

    It is the root of a share of variance, adjusted for chance as R2 is: of the target's ranks by a number's ranks
    (Spearman correlation) or by levels, of a number's ranks by classes, or of class indicators by levels (Goodman and
    Kruskal's tau). So Lorena et al. 2018, "Data complexity meta-features for regression problems", have it for numbers.

    Args:
        table: n rows; a missing level is a level.
        ranks: of its number columns, from :func:`ranked`.

    Returns:
        One value for each number column, then one for each category column.
    """
    rows, categories = len(table), table.features.categories.T
    if not rows:
        return np.zeros(ranks.shape[1] + len(categories))
    if table.classes:
        classes = table.target.astype(np.int64)
        of_numbers = _adjusted(_explained(ranks, classes), rows, len(np.unique(classes)) - 1)
        shares = [_indicators_explained(classes, levels) for levels in categories]
    else:
        target = ranked(table.target.astype(np.float64)[:, None])
        of_numbers = _adjusted((target.T @ ranks)[0] ** 2, rows, 1)
        shares = [float(_explained(target, levels)[0]) for levels in categories]
    of_categories = [
        _adjusted(share, rows, len(np.unique(levels)) - 1) for share, levels in zip(shares, categories, strict=True)
    ]
    return np.append(of_numbers, of_categories)


def ranked(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks of each column, gaps at the mean rank, shifted and scaled to sum 0 and squared sum 1; 0 for a constant."""
    from scipy.stats import rankdata

    ranks = np.zeros(values.shape)
    for i, column in enumerate(values.T):
        known = ~np.isnan(column)
        ranks[known, i] = rankdata(column[known]) - (np.count_nonzero(known) + 1) / 2
    norm = np.sqrt((ranks**2).sum(axis=0))
    return np.asarray(np.divide(ranks, norm, out=ranks, where=norm > 0))


def choose_rows(target: NDArray[Any], *, classes: bool, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows to learn from, shuffled: for values any, for classes as many of each as there are, up to all.

    With as many rows of a rare class as of a frequent one, its share of them does not decide the score.
    """
    order = rng.permutation(len(target))
    if classes:
        frequent = np.argsort(-np.bincount(target), kind="stable")[:MOST_CLASSES]
        order = order[np.isin(target[order], frequent)]
        order = order[np.argsort(_places(target[order]), kind="stable")]
    return order[:ROWS]


def landmarkers(table: Table, *, rng: np.random.Generator) -> dict[str, float]:
    """The score of each learner of ``LEARNERS``; all 0 where there is nothing to learn or to tell apart.

    Args:
        table: the few rows, from :func:`choose_rows`; numbers are finite or NaN, and not huge, as is the target.
        rng: decides on the split and the forest.

    Returns:
        For classes (balanced accuracy - 1/c) / (1 - 1/c), for values R2 held to [-1, 1]: 0 is a constant prediction
        and 1 a perfect one.
    """
    from threadpoolctl import threadpool_limits

    if not table.classes:
        # The squares of tiny values would all be 0.
        table = replace(table, target=table.target / max(np.abs(table.target).max(initial=0), np.finfo(float).tiny))
    # Dealt class by class, or from the lowest value to the highest.
    places = _places(table.target) if table.classes else _ranks(table.target)
    validates = np.isin(places % 10, _VALIDATING)
    train, valid = table.take(np.flatnonzero(~validates)), table.take(np.flatnonzero(validates))
    scores = dict.fromkeys(LEARNERS, 0.0)
    seed = int(rng.integers(2**31))
    if min(len(np.unique(part.target)) for part in (train, valid)) < 2:
        return scores
    fitted, design = Preprocessor.fit(train.features, train.target, _DESIGN, train.kind, seed=seed)
    if not design.width:
        return scores
    # Of too many, those that vary least are left out: mostly flags of rare levels.
    shown = np.sort(np.argsort(-design.numbers.var(axis=0), kind="stable")[:MOST_WIDTH])
    inputs, held = design.numbers[:, shown], fitted.transform(valid.features).numbers[:, shown]
    # Made before the limit, which holds for those libraries only that are loaded by then.
    learners = _learners(len(train), seed=seed, classes=bool(table.classes))
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # A regression that has not converged describes the table as well as one that has.
        warnings.simplefilter("ignore")
        for name, learner in learners.items():
            if table.classes:
                found = learner.fit(inputs, train.target).predict(held)
                chance = 1 / len(np.unique(valid.target))
                scores[name] = (balanced_accuracy(valid.target, found, None) - chance) / (1 - chance)
            else:
                predict = _by_slices if name == "bayes" else _by_values
                score = r2(valid.target, predict(learner, inputs, train.target, held), None)
                scores[name] = float(np.clip(np.nan_to_num(score), -1, 1))
    return scores


def _ranks(target: NDArray[Any]) -> NDArray[np.intp]:
    """How many rows come before each one when they are sorted."""
    ranks = np.empty(len(target), np.intp)
    ranks[np.argsort(target, kind="stable")] = np.arange(len(target))
    return ranks


def _places(target: NDArray[Any]) -> NDArray[np.intp]:
    """How many earlier rows are of the same class, for each row."""
    counts = np.bincount(target)
    return np.asarray(_ranks(target) - (np.cumsum(counts) - counts)[target])


def _learners(rows: int, *, seed: int, classes: bool) -> dict[str, Any]:
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, tree

    few = min(NEIGHBOURS, rows)
    # Without some smoothing, a column that is constant within a class would decide alone.
    bayes = naive_bayes.GaussianNB(var_smoothing=1e-2)
    forest = {"n_estimators": TREES, "max_features": 1 / 3, "min_samples_leaf": 3, "random_state": seed}
    if not classes:
        return {
            "stump": tree.DecisionTreeRegressor(max_depth=1, random_state=seed),
            "bayes": bayes,
            "nearest": neighbors.KNeighborsRegressor(1),
            "neighbours": neighbors.KNeighborsRegressor(few),
            "linear": linear_model.Ridge(1.0),
            "forest": ensemble.RandomForestRegressor(**forest),
        }
    return {
        "stump": tree.DecisionTreeClassifier(max_depth=1, class_weight="balanced", random_state=seed),
        "bayes": bayes,
        "nearest": neighbors.KNeighborsClassifier(1),
        "neighbours": neighbors.KNeighborsClassifier(few),
        "linear": linear_model.LogisticRegression(class_weight="balanced", tol=1e-3, max_iter=50),
        "forest": ensemble.RandomForestClassifier(class_weight="balanced", **forest),
    }


def _by_values(learner: Any, inputs: NDArray[Any], target: NDArray[Any], held: NDArray[Any]) -> NDArray[np.float64]:
    """Predictions of values; standardised for the fit, so that a penalty means the same everywhere."""
    centre, scale = target.mean(), target.std()
    found = learner.fit(inputs, (target - centre) / scale).predict(held)
    return np.asarray(centre + scale * found, np.float64)


def _by_slices(learner: Any, inputs: NDArray[Any], target: NDArray[Any], held: NDArray[Any]) -> NDArray[np.float64]:
    """Predictions of values by a classifier of slices of the target: the mean of each, weighted by its probability.

    Frank, Trigg, Holmes and Witten 2000, "Naive Bayes for regression", estimate densities instead of slices.
    """
    from scipy.stats import rankdata

    slices = ((rankdata(target) - 0.5) * SLICES / len(target)).astype(np.intp)
    shares = learner.fit(inputs, slices).predict_proba(held)
    means = np.array([target[slices == one].mean() for one in learner.classes_])
    return np.asarray(shares @ means, np.float64)


def _explained(ranks: NDArray[np.float64], groups: NDArray[Any]) -> NDArray[np.float64]:
    """Share of the variance of each column of ranks that is between groups."""
    _, sizes = np.unique(groups, return_counts=True)
    in_order = ranks[np.argsort(groups, kind="stable")]
    sums = np.add.reduceat(in_order, np.cumsum(sizes) - sizes, axis=0)
    return np.asarray((sums**2 / sizes[:, None]).sum(axis=0))


def _indicators_explained(classes: NDArray[Any], levels: NDArray[Any]) -> float:
    """Share of the variance of the class indicators that is between levels."""
    _, level, rows_of_level = np.unique(levels, return_inverse=True, return_counts=True)
    width = int(classes.max()) + 1
    pairs, rows_of_pair = np.unique(level * width + classes, return_counts=True)
    by_chance = (np.bincount(classes) ** 2).sum() / len(classes)
    if by_chance == len(classes):
        return 0.0
    return float(((rows_of_pair**2 / rows_of_level[pairs // width]).sum() - by_chance) / (len(classes) - by_chance))


def _adjusted(share: Any, rows: int, freedom: int) -> Any:
    """The root of a share of variance, less what chance explains of ``rows`` with so many degrees of freedom."""
    left = rows - 1 - freedom
    return np.sqrt(np.clip(1 - (1 - share) * (rows - 1) / left, 0, 1)) if left > 0 else 0 * share
