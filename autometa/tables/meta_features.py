"""Meta-features: a table as a fixed list of numbers, so that tables can be compared.

Sizes and class counts are of all rows. All else is taken on a draw of rows and columns: it then costs the same for
every table, and what depends on the number of rows, such as the share of distinct values, compares small tables with
large ones. A regression counts as a single class. Where there is nothing to measure (no number columns, say) a
meta-feature is 0; none is ever NaN. Sample weights are not looked at.

Letters: n rows of the draw, f number columns, c classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autometa.tables.landmarkers import choose_rows, dependence, landmarkers, ranked
from autometa.tables.table import Features, Table

META_FEATURES_VERSION = "meta-features-1"
ROWS = 2_000
NUMBER_COLUMNS, CATEGORY_COLUMNS = 60, 40
# What lies beyond counts as this; squares of it are still finite.
LARGEST = 1e100
_QUANTILES = (0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975)

SOURCES = {
    "Michie 1994": "Michie, Spiegelhalter and Taylor 1994, Machine Learning, Neural and Statistical Classification",
    "Pfahringer 2000": "Pfahringer, Bensusan and Giraud-Carrier 2000, Meta-learning by landmarking various learning "
    "algorithms",
    "Fürnkranz 2001": "Fürnkranz and Petrak 2001, An evaluation of landmarking variants",
    "Brazdil 2003": "Brazdil, Soares and da Costa 2003, Ranking learning algorithms",
    "Feurer 2015": "Feurer, Springenberg and Hutter 2015, Initializing Bayesian hyperparameter optimization via "
    "meta-learning",
    "Lorena 2018": "Lorena et al. 2018, Data complexity meta-features for regression problems",
    "Rivolli 2022": "Rivolli et al. 2022, Meta-features for meta-learning",
    "here": "added here, with no paper as its source",
}


class MetaFeature(NamedTuple):
    """What a meta-feature says, and which of ``SOURCES`` describes it or one like it."""

    meaning: str
    source: str


CATALOGUE = {
    "log_rows": MetaFeature("ln of the rows", "Michie 1994"),
    "log_columns": MetaFeature("ln of the columns", "Michie 1994"),
    "log_rows_per_column": MetaFeature("ln of the rows per column", "Feurer 2015"),
    "log_encoded_width": MetaFeature("ln of the columns when each level of a category is one", "here"),
    "log_classes": MetaFeature("ln of the classes", "Michie 1994"),
    "log_rarest_class_rows": MetaFeature("ln of the rows of the rarest class", "Feurer 2015"),
    "is_binary": MetaFeature("1 for two classes", "here"),
    "is_multiclass": MetaFeature("1 for any other number of classes", "here"),
    "is_regression": MetaFeature("1 for a numeric target", "here"),
    "number_share": MetaFeature("share of number columns", "Brazdil 2003"),
    "category_share": MetaFeature("share of category columns", "Brazdil 2003"),
    "binary_share": MetaFeature("share of columns of exactly two values", "Michie 1994"),
    "constant_share": MetaFeature("share of columns of fewer than two values", "here"),
    "missing_cells": MetaFeature("share of cells that are missing", "Brazdil 2003"),
    "missing_columns": MetaFeature("share of columns with a gap", "Feurer 2015"),
    "missing_rows": MetaFeature("share of rows with a gap", "Feurer 2015"),
    "missing_most": MetaFeature("largest share of gaps in a column", "here"),
    "class_entropy": MetaFeature("entropy of the classes, 1 where all are as frequent", "Michie 1994"),
    "majority_share": MetaFeature("share of rows of the most frequent class", "Feurer 2015"),
    "minority_share": MetaFeature("share of rows of the rarest class", "Feurer 2015"),
    "class_imbalance": MetaFeature("ln of the most frequent class over the rarest", "here"),
    "target_skewness": MetaFeature("regression: skewness s as sign(s) ln(1 + |s|)", "Michie 1994"),
    "target_kurtosis": MetaFeature("regression: ln of the fourth standardised moment", "Michie 1994"),
    "target_mode_share": MetaFeature("regression: share of the most common value", "here"),
    "target_zero_share": MetaFeature("regression: share of zeros", "here"),
    "target_distinct_share": MetaFeature("regression: distinct values per row", "here"),
    "target_integer_share": MetaFeature("regression: share of whole numbers", "here"),
    "target_outlier_share": MetaFeature("regression: share beyond 1.5 IQR from the quartiles", "Brazdil 2003"),
    "number_skewness_mean": MetaFeature("mean of (q95 + q5 - 2 q50) / (q95 - q5)", "Michie 1994"),
    "number_skewness_sd": MetaFeature("sd of the same over the number columns", "Feurer 2015"),
    "number_tail_weight_mean": MetaFeature("mean of 1 - (q75 - q25) / (q97.5 - q2.5)", "Michie 1994"),
    "number_tail_weight_sd": MetaFeature("sd of the same over the number columns", "Feurer 2015"),
    "number_outlier_share_mean": MetaFeature("mean share beyond 1.5 IQR from the quartiles", "Brazdil 2003"),
    "number_outlier_share_sd": MetaFeature("sd of the same over the number columns", "here"),
    "number_distinct_share_mean": MetaFeature("mean of distinct values per value", "Rivolli 2022"),
    "number_distinct_share_sd": MetaFeature("sd of the same over the number columns", "Rivolli 2022"),
    "number_zero_share_mean": MetaFeature("mean share of zeros", "here"),
    "number_zero_share_sd": MetaFeature("sd of the same over the number columns", "here"),
    "number_integer_share_mean": MetaFeature("mean share of whole numbers", "here"),
    "number_integer_share_sd": MetaFeature("sd of the same over the number columns", "here"),
    "log_levels_mean": MetaFeature("mean of ln of the levels of a category", "Feurer 2015"),
    "log_levels_sd": MetaFeature("sd of the same over the category columns", "Feurer 2015"),
    "log_levels_most": MetaFeature("ln of the most levels of a category", "Feurer 2015"),
    "level_entropy_mean": MetaFeature("mean entropy of the levels, 1 where all are as frequent", "Michie 1994"),
    "level_mode_share_mean": MetaFeature("mean share of the most common level", "here"),
    "correlation_mean": MetaFeature("mean |Spearman| of two number columns", "Michie 1994"),
    "correlation_most": MetaFeature("largest |Spearman| of two number columns", "Rivolli 2022"),
    "components_95": MetaFeature(
        "share of the principal components of the ranks that hold 95 % of the variance", "Feurer 2015"
    ),
    "first_component": MetaFeature("share of the variance that the first component holds", "Rivolli 2022"),
    "dependence_mean": MetaFeature("mean dependence of column and target, 0 by chance, 1 at most", "Lorena 2018"),
    "dependence_most": MetaFeature("largest dependence of column and target", "Lorena 2018"),
    "dependence_sd": MetaFeature("sd of the same over the columns", "here"),
    "landmark_stump": MetaFeature("score of a tree of one split", "Pfahringer 2000"),
    "landmark_bayes": MetaFeature("score of naive Bayes", "Pfahringer 2000"),
    "landmark_nearest": MetaFeature("score of the nearest neighbour", "Pfahringer 2000"),
    "landmark_neighbours": MetaFeature("score of seven neighbours", "here"),
    "landmark_linear": MetaFeature("score of logistic or ridge regression", "Pfahringer 2000"),
    "landmark_forest": MetaFeature("score of a forest of 12 trees", "here"),
    "landmark_forest_minus_linear": MetaFeature("forest less linear", "Fürnkranz 2001"),
    "landmark_neighbours_minus_linear": MetaFeature("seven neighbours less linear", "Fürnkranz 2001"),
}
NAMES = tuple(CATALOGUE)


def meta_features(table: Table, *, seed: int = 0) -> dict[str, float]:
    """Describe a table.

    Args:
        table: any table; infinite numbers count as missing, and rows without a usable target are left out.
        seed: of the rows and columns drawn, and of the forest.

    Returns:
        A finite number for each of ``NAMES``, in their order; what they mean is in ``CATALOGUE``.
    """
    from threadpoolctl import threadpool_limits

    table = _usable(table)
    rng = np.random.default_rng(seed)
    numbers = _drawn(len(table.features.number_names), NUMBER_COLUMNS, rng)
    categories = _drawn(len(table.features.category_names), CATEGORY_COLUMNS, rng)
    wide = table.take(_drawn(len(table), ROWS, rng))
    few = table.take(choose_rows(table.target, classes=bool(table.classes), rng=rng))
    scores = landmarkers(_narrowed(few, numbers, categories), rng=rng)
    draw = _narrowed(wide, numbers, categories)
    found = _sizes(table) | _missing(wide.features) | _target(draw) | _columns(draw.features)
    # The last digits of a sum depend on the number of threads.
    with threadpool_limits(limits=1):
        found |= _relations(draw)
    found |= {f"landmark_{name}": score for name, score in scores.items()}
    for name in ("forest", "neighbours"):
        found[f"landmark_{name}_minus_linear"] = scores[name] - scores["linear"]
    return {name: float(found[name]) for name in NAMES}


def _usable(table: Table) -> Table:
    target = table.target
    usable = (target >= 0) & (target < len(table.classes)) if table.classes else np.isfinite(target)
    return table if usable.all() else table.take(np.flatnonzero(usable))


def _drawn(size: int, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.arange(size) if size <= most else np.sort(rng.choice(size, most, replace=False, shuffle=False))


def _narrowed(table: Table, numbers: NDArray[np.intp], categories: NDArray[np.intp]) -> Table:
    """Some of the columns; what is infinite is missing, and nothing is huge."""
    all_of = table.features
    values = all_of.numbers[:, numbers].astype(np.float64)
    features = Features(
        np.clip(np.where(np.isinf(values), np.nan, values), -LARGEST, LARGEST),
        np.asarray(all_of.categories[:, categories]),
        tuple(all_of.cardinalities[i] for i in categories),
        tuple(all_of.number_names[i] for i in numbers),
        tuple(all_of.category_names[i] for i in categories),
    )
    target = table.target if table.classes else np.clip(np.asarray(table.target, np.float64), -LARGEST, LARGEST)
    return replace(table, features=features, target=target, weights=None)


def _log(count: float) -> float:
    return float(np.log(max(1.0, count)))


def _mean(values: Any) -> float:
    return float(values.mean()) if values.size else 0.0


def _most(values: Any) -> float:
    return float(values.max()) if values.size else 0.0


def _spread(values: Any) -> float:
    return float(values.std()) if values.size else 0.0


def _evenness(counts: NDArray[np.intp]) -> float:
    """Entropy as a share of what it could be; 0 for a single value."""
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(shares))) if len(shares) > 1 else 0.0


def _sizes(table: Table) -> dict[str, float]:
    numbers, categories = len(table.features.number_names), len(table.features.category_names)
    rows, columns = len(table), numbers + categories
    counts = np.bincount(table.target) if table.classes else np.array([rows])
    counts = counts[counts > 0]
    most, least = (int(counts.max()), int(counts.min())) if len(counts) else (0, 0)
    return {
        "log_rows": _log(rows),
        "log_columns": _log(columns),
        "log_rows_per_column": _log(rows) - _log(columns),
        "log_encoded_width": _log(numbers + sum(table.features.cardinalities)),
        "log_classes": _log(len(table.classes)),
        "log_rarest_class_rows": _log(least),
        "is_binary": table.kind == "binary",
        "is_multiclass": table.kind == "multiclass",
        "is_regression": table.kind == "regression",
        "number_share": numbers / max(1, columns),
        "category_share": categories / max(1, columns),
        "class_entropy": _evenness(counts),
        "majority_share": most / max(1, rows),
        "minority_share": least / max(1, rows),
        "class_imbalance": _log(most) - _log(least),
    }


def _missing(features: Features) -> dict[str, float]:
    gaps = np.concatenate([~np.isfinite(features.numbers), features.categories < 0], axis=1)
    return {
        "missing_cells": _mean(gaps),
        "missing_columns": _mean(gaps.any(axis=0)),
        "missing_rows": _mean(gaps.any(axis=1)),
        "missing_most": _most(gaps.mean(axis=0)) if len(gaps) else 0.0,
    }


def _of_values(values: NDArray[np.float64]) -> dict[str, float]:
    """Shape and shares of known values, at least one, in rising order."""
    q025, q05, q25, q50, q75, q95, q975 = np.quantile(values, _QUANTILES)
    fence = 1.5 * (q75 - q25)
    return {
        "skewness": (q95 + q05 - 2 * q50) / (q95 - q05) if q95 > q05 else 0.0,
        "tail_weight": 1 - (q75 - q25) / (q975 - q025) if q975 > q025 else 0.0,
        "outlier_share": _mean((values < q25 - fence) | (values > q75 + fence)),
        "distinct_share": (1 + np.count_nonzero(np.diff(values))) / len(values),
        "zero_share": _mean(values == 0),
        "integer_share": _mean(values == np.rint(values)),
    }


def _target(table: Table) -> dict[str, float]:
    names = [name for name in NAMES if name.startswith("target_")]
    if table.classes or not len(table):
        return dict.fromkeys(names, 0.0)
    values = np.sort(np.asarray(table.target, np.float64))
    found = _of_values(values)
    edges = np.flatnonzero(np.diff(values)) + 1
    found["mode_share"] = _most(np.diff(edges, prepend=0, append=len(values))) / len(values)
    found["skewness"] = found["kurtosis"] = 0.0
    # The squares of tiny values would all be 0.
    z = values / max(np.abs(values).max(), np.finfo(float).tiny)
    if len(edges) and z.std() > 0:
        z = (z - z.mean()) / z.std()
        third = (z**3).mean()
        found["skewness"] = np.sign(third) * np.log1p(abs(third))
        found["kurtosis"] = np.log((z**4).mean())
    return {name: found[name.removeprefix("target_")] for name in names}


def _columns(features: Features) -> dict[str, float]:
    """What number and category columns look like, each by itself."""
    known = [np.sort(column[~np.isnan(column)]) for column in features.numbers.T]
    each = [_of_values(values) for values in known if len(values)]
    found = {}
    for name in ("skewness", "tail_weight", "outlier_share", "distinct_share", "zero_share", "integer_share"):
        values = np.array([one[name] for one in each])
        found[f"number_{name}_mean"], found[f"number_{name}_sd"] = _mean(values), _spread(values)
    levels = [np.unique(codes[codes >= 0], return_counts=True)[1] for codes in features.categories.T]
    logs = np.array([_log(count) for count in features.cardinalities])
    distinct = [1 + np.count_nonzero(np.diff(values)) if len(values) else 0 for values in known]
    distinct += [len(counts) for counts in levels]
    return found | {
        "binary_share": _mean(np.array(distinct) == 2),
        "constant_share": _mean(np.array(distinct) < 2),
        "log_levels_mean": _mean(logs),
        "log_levels_sd": _spread(logs),
        "log_levels_most": _most(logs),
        "level_entropy_mean": _mean(np.array([_evenness(counts) for counts in levels])),
        "level_mode_share_mean": _mean(np.array([_most(counts) / max(1, counts.sum()) for counts in levels])),
    }


def _relations(table: Table) -> dict[str, float]:
    """How number columns depend on each other, and the target on every column."""
    ranks = ranked(table.features.numbers)
    depends = dependence(table, ranks)
    varied = ranks[:, ranks.any(axis=0)]
    matrix = varied.T @ varied
    pairs = np.abs(matrix[np.triu_indices(len(matrix), 1)])
    parts = np.linalg.eigvalsh(matrix)[::-1] / max(1, len(matrix))
    # The rounding of a sum must not decide where many columns share the variance evenly.
    needed = np.count_nonzero(np.cumsum(parts) < 0.95 - 1e-9) + 1
    return {
        "correlation_mean": _mean(pairs),
        "correlation_most": _most(pairs),
        "components_95": needed / len(parts) if len(parts) else 0.0,
        "first_component": _most(parts),
        "dependence_mean": _mean(depends),
        "dependence_most": _most(depends),
        "dependence_sd": _spread(depends),
    }
