"""Fit the time model to recorded fits, measure its error on tables it has not seen, and write both down.

python -m benchmarks.time_model meta_datasets/tabular           # weights, and the tables of docs/time_model.md
python -m benchmarks.time_model meta_datasets/tabular --beyond  # larger tables as well: some minutes of fits

The folder is a collection, or one that a recording is still writing (rows.jsonl and tables/).
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from autometa.records.card import Card, Dataset
from autometa.records.own_files import CARD, rows_of
from autometa.records.time_model import Law, Shape, TimeModel, short_fit, terms_of, trees_of
from autometa.space import Config, Space
from autometa.tables.metrics import resolve_metric
from autometa.tables.objective import OBJECTIVE_VERSION, evaluate
from autometa.tables.table import Features, Table
from benchmarks.report import table as markdown
from benchmarks.report import write_between

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "time_model.md"
WEIGHTS = ROOT / "autometa" / "weights" / "time_model.json"
FOLDS, CONFIG_FOLDS = 10, 5
FEWEST = 30  # timed fits of an algorithm that is to have a law
SHORT_FITS = 20
SEEN = (0, 1, 3, 8)  # fits on a table that others on it are predicted from
LARGER, LONGEST = (2_000, 10_000, 50_000, 250_000), 40.0  # rows of made-up tables, seconds of a fit of them

Array: TypeAlias = NDArray[np.float64]

# Exponents before anything is recorded: what the learners' code lets one expect.
SHAPE = {"log columns": 0.5, "log outputs": 0.7, "regression": 0.0, "multiclass": 0.0, "categories": 0.0}
DENSE = {**SHAPE, "onehot": 0.0, "target_means": 0.0}
BOOSTER = {**SHAPE, "log seen_rows": 0.8, "log leaves": 0.4, "regression": 0.5, "target_means": 0.3}
FOREST = {
    **DENSE, "log outputs": 0.2, "log tree_rows": 1.0, "log forest_max_features": 0.8,
    "log forest_min_samples_leaf": -0.1, "forest_criterion=entropy": 0.2,
}  # fmt: skip
NETWORK = {
    **DENSE, "log outputs": 0.1, "log columns": 0.1, "log seen_rows": 0.7, "log work": 0.9,
    "log network_learning_rate": -0.2, "network_activation=relu": -0.2,
    "network_embedding=periodic": 0.3,
}  # fmt: skip
PRIORS: Mapping[str, Mapping[str, float]] = {
    "lightgbm": {
        **BOOSTER, "log lightgbm_learning_rate": -0.9, "log lightgbm_feature_fraction": 0.5,
        "lightgbm_extra_trees=True": 0.0,
    },
    "catboost": {
        **BOOSTER, "log columns": 0.9, "log catboost_learning_rate": -0.9,
        "log catboost_leaf_estimation_iterations": 0.1, "catboost_grow_policy=SymmetricTree": -0.3,
    },
    "xgboost": {**BOOSTER, "log xgboost_learning_rate": -0.9, "log xgboost_colsample_bylevel": 0.5},
    "extra_trees": FOREST,
    "random_forest": FOREST,
    "linear": {
        **DENSE, "log rows": 0.8, "target_means": 1.0, "scaling=quantile_normal": 0.3, "log linear_C": 0.1,
        "linear_l1_ratio": 0.1,
    },
    "nearest_neighbours": {
        **DENSE, "log outputs": 0.0, "log pairs": 0.8, "target_means": 1.0, "scaling=quantile_normal": 0.3,
        "log neighbours_k": 0.15, "neighbours_p=1": 0.7,
    },
    "network": NETWORK,
    "tabm": NETWORK,
}  # fmt: skip
# Least and most that some exponents may be, from what fits of up to 250,000 rows took; pairs are of two rows.
LIMITS = {
    "log rows": (0.6, 1.0), "log seen_rows": (0.65, 0.8), "log tree_rows": (1.1, 1.2), "log pairs": (0.8, 1.0),
    "log work": (0.7, 0.9),
}  # fmt: skip
PRIOR_SD, NOISE = 0.3, 0.5  # of an exponent around its prior, and of the logarithms of seconds
LONELY = 0.2  # share of the variance that is taken for the config's where every table has one config only
ROUNDS = 4  # of fitting with what the fits that a limit ended would have taken


@dataclass(frozen=True)
class Timing:
    """A fit that was timed.

    Attributes:
        table, family: names.
        config, shape: what was fitted, and on what.
        seconds: of the processor, for one fit and the prediction of its validation rows.
        ended: False where a limit ended it, so that it would have taken longer.
    """

    table: str
    family: str
    config: Config
    shape: Shape
    seconds: float
    ended: bool = True

    @property
    def algorithm(self) -> str:
        """Of the config."""
        return str(self.config["algorithm"])


def read(folder: Path) -> list[Timing]:
    """The timed fits of a recording, finished or not."""
    if (folder / CARD).exists():
        card, _ = Card.read(folder / CARD)
        datasets, rows = {d.name: d for d in card.datasets}, rows_of(folder)
    else:
        tasks = (json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("tables/*/task.json")))
        datasets = {task["name"]: Dataset(**task) for task in tasks}
        # The last line may still be in the making; of a fit that was done again the later row counts.
        lines = (folder / "rows.jsonl").read_bytes().rpartition(b"\n")[0].splitlines()
        again = {(r["task"], r["config_id"], r["budget"], r["folds"]): r for r in map(json.loads, lines)}
        rows = list(again.values())
    found = []
    for row in rows:
        dataset = datasets[row["task"]]
        if row["cpu_s"] is None or row["state"] == "failed":
            continue
        validation = dataset.recorded_rows / dataset.folds
        training = (dataset.recorded_rows - validation) * row["budget"]
        shape = Shape(training, dataset.numbers, dataset.categories, dataset.classes, validation)
        seconds = row["cpu_s"] / row["folds"]
        found.append(Timing(dataset.name, dataset.family, row["config"], shape, seconds, row["state"] == "complete"))
    return found


def fit_law(timings: Sequence[Timing], exponents: Mapping[str, float]) -> tuple[Law, Array]:
    """The law of one algorithm, and what it leaves of the logarithms, shape (n,).

    Least squares of the logarithms, softened so that odd fits count less, with the exponents drawn to their priors.
    A fit that a limit ended counts as what a normal distribution above its limit has as its mean (Schmee and Hahn
    1979, "A simple method for regression analysis with censored data").
    """
    terms = np.array([terms_of(t.config, t.shape, exponents) for t in timings])
    trees = np.log([trees_of(t.config, t.shape) for t in timings])
    took = np.log([t.seconds for t in timings])
    ended = np.array([t.ended for t in timings])
    prior = np.array(list(exponents.values()))
    centre = terms.mean(axis=0)
    around = terms - centre

    def split(p: Array) -> tuple[Array, Array]:
        """Logarithms of the predicted seconds, and the share of the overhead."""
        total = np.logaddexp(p[0], p[1] + around @ p[2:])
        return trees + total, np.exp(p[0] - total)

    def left(p: Array) -> Array:
        return np.concatenate([split(p)[0] - goal, NOISE / PRIOR_SD * (p[2:] - prior)])

    def slopes(p: Array) -> Array:
        share = split(p)[1][:, None]
        above = np.concatenate([share, 1 - share, (1 - share) * around], axis=1)
        below = np.eye(len(p))[2:] * NOISE / PRIOR_SD
        return np.concatenate([above, below])

    limits = [LIMITS.get(name, (-3.0, 3.0)) for name in exponents]
    low, high = np.array([(-12.0, 1.0), (-12.0, 12.0), *limits]).T
    least = float(np.quantile(took - trees, 0.02)) - 1.0
    start = np.clip(np.array([least, float(np.median(took - trees)), *prior]), low + 1e-6, high - 1e-6)
    goal = took
    for _ in range(1 if ended.all() else ROUNDS):
        found = least_squares(left, start, jac=slopes, bounds=(low, high), loss="soft_l1").x
        start = np.clip(found, low + 1e-6, high - 1e-6)
        spread = np.std(goal - split(found)[0])
        z = (took - split(found)[0]) / spread
        hazard = np.exp(norm.logpdf(z) - norm.logsf(z))
        goal = np.where(ended, took, split(found)[0] + spread * hazard)
    law = Law(
        overhead=math.exp(found[0]),
        base=float(found[1] - centre @ found[2:]),
        exponents=dict(zip(exponents, found[2:].tolist(), strict=True)),
    )
    return law, goal - split(found)[0]


def fit(timings: Sequence[Timing], priors: Mapping[str, Mapping[str, float]] = PRIORS) -> TimeModel:
    """The laws of all algorithms, and how what they leave goes together from table to table."""
    counts = {name: sum(t.algorithm == name for t in timings) for name in priors}
    priors = {name: exponents for name, exponents in priors.items() if counts[name] >= FEWEST}
    laws: dict[str, Law] = {}
    tables = {name: i for i, name in enumerate(dict.fromkeys(t.table for t in timings))}
    means = np.full((len(priors), len(tables)), np.nan)
    variances = np.empty(len(priors))
    for i, (name, exponents) in enumerate(priors.items()):
        own = [t for t in timings if t.algorithm == name]
        law, left = fit_law(own, exponents)
        of = np.array([tables[t.table] for t in own])
        count = np.bincount(of, minlength=len(tables))
        mean = np.bincount(of, left, len(tables)) / np.maximum(count, 1)
        means[i, count > 0] = mean[count > 0]
        free = len(own) - int((count > 0).sum())
        within = float(((left - mean[of]) ** 2).sum() / free) if free else LONELY * float(np.var(left))
        variances[i] = within * float((1 / count[count > 0]).mean())
        laws[name] = replace(law, spread=math.sqrt(within))
    return TimeModel(laws, _covariances(means, variances).tolist())


def _covariances(means: Array, variances: Array) -> Array:
    """Of the tables' means, shape (A, T) with gaps, less what the configs' own spread adds to their variances."""
    known = np.isfinite(means)
    filled = np.where(known, means, 0.0)
    found = filled @ filled.T / np.maximum(known.astype(float) @ known.T, 1) - np.diag(variances)
    values, vectors = np.linalg.eigh(found)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


# How well it predicts

Predict: TypeAlias = Callable[[Timing], float]


def by_median(timings: Sequence[Timing]) -> Predict:
    """The median of the algorithm."""
    medians = {a: float(np.median([t.seconds for t in own])) for a, own in _by_algorithm(timings)}
    return lambda t: medians[t.algorithm]


def by_size(timings: Sequence[Timing]) -> Predict:
    """A power law of rows and columns for each algorithm, whatever its hyperparameters."""

    def row(t: Timing) -> list[float]:
        return [1.0, math.log(t.shape.rows), math.log(max(1, t.shape.numbers + t.shape.categories))]

    found = {}
    for name, own in _by_algorithm(timings):
        found[name] = np.linalg.lstsq(np.array([row(t) for t in own]), np.log([t.seconds for t in own]))[0]
    return lambda t: math.exp(found[t.algorithm] @ row(t))


def by_law(timings: Sequence[Timing], *, informed: bool = True) -> Predict:
    """The time model; uninformed, its exponents are drawn to 0."""
    priors = PRIORS if informed else {a: dict.fromkeys(exponents, 0.0) for a, exponents in PRIORS.items()}
    model = fit(timings, priors)
    return lambda t: model.seconds(t.config, t.shape) if t.algorithm in model.laws else math.nan


def by_trees(timings: Sequence[Timing]) -> Predict:
    """Gradient boosting on the terms and all hyperparameters: what could be had from the same columns."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    space = Space.load("tabular")

    def row(t: Timing) -> list[float]:
        terms = terms_of(t.config, t.shape, PRIORS[t.algorithm])
        return [*terms, t.shape.rows, *np.nan_to_num(space.to_unit(t.config), nan=-1.0)]

    found = {}
    for name, own in _by_algorithm(timings):
        model = HistGradientBoostingRegressor(max_iter=150, learning_rate=0.08, max_leaf_nodes=8)
        found[name] = model.fit([row(t) for t in own], np.log([t.seconds for t in own]))
    return lambda t: math.exp(found[t.algorithm].predict([row(t)])[0])


NEW: Mapping[str, Callable[[Sequence[Timing]], Predict]] = {
    "law, new configs": by_law,
    "no priors, new configs": partial(by_law, informed=False),
}
METHODS: Mapping[str, Callable[[Sequence[Timing]], Predict]] = {
    "median": by_median,
    "rows and columns": by_size,
    "boosted trees": by_trees,
    "law": by_law,
}


def held_out(timings: Sequence[Timing]) -> pd.DataFrame:
    """Errors of the logarithms, a row for each fit and a column for each way to predict it.

    No family of datasets stands on both sides, and where configs are new, no config either.
    """
    family, config = _dealt([t.family for t in timings], FOLDS), _dealt([_key(t) for t in timings], CONFIG_FOLDS)
    frames = []
    for k in range(FOLDS):
        train, test = np.flatnonzero(family != k).tolist(), [timings[i] for i in np.flatnonzero(family == k).tolist()]
        frame = pd.DataFrame({"algorithm": [t.algorithm for t in test], "ended": [t.ended for t in test]})
        for method, learn in METHODS.items():
            frame[method] = _errors(learn([timings[i] for i in train]), test)
        frame[[*NEW]] = np.nan
        for j in range(CONFIG_FOLDS):
            new = np.flatnonzero(config[family == k] == j).tolist()
            known = [timings[i] for i in train if config[i] != j]
            for method, learn in NEW.items():
                frame.loc[new, method] = _errors(learn(known), [test[i] for i in new])
        frames.append(frame.join(_corrected(fit([timings[i] for i in train]), test)))
    found = pd.concat(frames, ignore_index=True)
    return found[found["ended"]]


def _errors(predict: Predict, timings: Sequence[Timing]) -> list[float]:
    return [math.log(t.seconds / predict(t)) for t in timings]


def _corrected(model: TimeModel, timings: Sequence[Timing]) -> pd.DataFrame:
    """Errors after the first few fits on the same table were seen, and whether a fit is below its 80 % quantile."""
    first: dict[str, list[Timing]] = {}
    rows: list[dict[str, float]] = []
    for t in timings:
        earlier = first.setdefault(t.table, [])
        row = {}
        for count in SEEN if len(earlier) == max(SEEN) else ():
            seen = [(other.config, other.seconds) for other in earlier[:count]]
            row[f"{count} seen"] = math.log(t.seconds / model.seconds(t.config, t.shape, seen=seen))
            row[f"below, {count} seen"] = t.seconds <= model.seconds(t.config, t.shape, seen=seen, quantile=0.8)
        if t.ended and len(earlier) < max(SEEN):
            earlier.append(t)
        rows.append(row)
    return pd.DataFrame(rows)


def summary(left: "pd.Series[float]") -> str:
    """Median error and that which one in ten exceeds, as factors, and the share of errors below a factor of 2."""
    sizes = left.dropna().abs().astype(float)
    if sizes.empty:
        return ""
    median, most = np.exp(sizes.quantile([0.5, 0.9]))
    return f"×{median:.2f} / ×{most:.2f} / {(sizes < math.log(2)).mean():.0%}"


def by_algorithm(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """A table of some columns."""
    lines = []
    for name, own in [*frame.groupby("algorithm"), ("all", frame)]:
        shares = [c.startswith("below") for c in columns]
        cells = [f"{own[c].mean():.0%}" if b else summary(own[c]) for c, b in zip(columns, shares, strict=True)]
        lines.append([name, str(len(own)), *cells])
    return markdown(["algorithm", "fits", *columns], lines)


def calibration(left: "pd.Series[float]", took: Sequence[float]) -> str:
    """What a twice slower machine does to the errors, with and without the short fit that took so long here."""
    factors = np.array(took) / min(took)
    estimated = np.resize(2 * factors, len(left))
    lines = [
        ["the machine of the recording", summary(left)],
        ["twice slower, not calibrated", summary(left + math.log(2))],
        ["twice slower, calibrated by one short fit each time", summary(left + math.log(2) - np.log(estimated))],
    ]
    return (
        f"{len(took)} short fits on the machine of the recording: {1000 * min(took):.0f} ms at best, factors up to "
        f"{factors.max():.2f}, {np.median(factors):.2f} in the middle.\n\n" + markdown(["machine", "error"], lines)
    )


def beyond(model: TimeModel) -> str:
    """Fits of larger, made-up tables: how the seconds grow with the rows, measured and predicted."""
    space = Space.load("tabular")
    lines = []
    for name in model.laws:
        config = space.complete({"algorithm": name})
        cells, scale = [], 0.0
        for rows in LARGER:
            made = made_up(rows + rows // 2)
            metric = resolve_metric("rmse", made.kind)
            begun = time.process_time()
            train, valid = np.arange(rows), np.arange(rows, len(made))
            found = evaluate(config, made, train, valid, metric, seed=0, seconds=LONGEST)
            took = time.process_time() - begun
            predicted = model.seconds(config, Shape(rows, 12, 4, 0))
            scale = scale or took / predicted
            late = found.stopped_by_clock
            cells.append(f"{'>' if late else ''}{took:.2f} ({scale * predicted:.2f})")
            if late or took > LONGEST / 5:
                break
        lines.append([name, f"{scale:.2f}", *cells, *[""] * (len(LARGER) - len(cells))])
    return markdown(["algorithm", "measured / predicted", *(f"{rows:,} rows" for rows in LARGER)], lines)


def made_up(rows: int) -> Table:
    """A regression on twelve numbers and four categories."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((rows, 12)).astype(np.float32)
    codes = generator.integers(0, 8, (rows, 4)).astype(np.int32)
    target = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.7 * x[:, 3] + 0.5 * (codes[:, 0] > 3)
    names = tuple(f"x{i}" for i in range(12)), tuple(f"c{i}" for i in range(4))
    return Table(Features(x, codes, (8,) * 4, *names), target + generator.standard_normal(rows))


def _by_algorithm(timings: Sequence[Timing]) -> list[tuple[str, list[Timing]]]:
    return [(name, [t for t in timings if t.algorithm == name]) for name in dict.fromkeys(t.algorithm for t in timings)]


def _key(timing: Timing) -> str:
    return json.dumps(dict(timing.config), sort_keys=True)


def _dealt(names: Sequence[str], folds: int) -> NDArray[np.intp]:
    """The fold of each name; equal names share one."""
    known = sorted(set(names))
    fold = dict(zip(known, np.random.default_rng(0).permutation(len(known)) % folds, strict=True))
    return np.array([fold[name] for name in names])


def main() -> None:
    """Fit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--beyond", action="store_true", help="fit larger tables, too")
    given = parser.parse_args()
    with threadpool_limits(1):
        timings = read(given.folder)
        rows = [t.shape.rows for t in timings]
        card = {
            "space": Space.load("tabular").version,
            "objective": OBJECTIVE_VERSION,
            "fits": len(timings),
            "tables": len({t.table for t in timings}),
            "configs": len({_key(t) for t in timings}),
            "rows": [round(min(rows)), round(max(rows))],
        }
        took = [short_fit() for _ in range(SHORT_FITS)]
        model = replace(fit(timings), reference=min(took), card=card)
        WEIGHTS.parent.mkdir(exist_ok=True)
        WEIGHTS.write_text(model.to_json(), encoding="utf-8")
        left = held_out(timings)
        text = (
            f"{len(timings)} fits of {card['configs']} configs on {card['tables']} tables, {min(rows):.0f} to "
            f"{max(rows):.0f} training rows; {sum(not t.ended for t in timings)} were ended by the limit.\n\n"
            f"{by_algorithm(left, [*METHODS, *NEW])}\n\n### When fits on the table were seen\n\n"
            f"{by_algorithm(left.dropna(subset='0 seen'), [c for c in left if 'seen' in c])}\n\n"
            f"### Another machine\n\n{calibration(left['law'], took)}\n"
        )
        print(text)
        write_between(DOCS, "errors", text)
        if given.beyond:
            write_between(DOCS, "beyond", beyond(model))


if __name__ == "__main__":
    main()
