"""Learn the portfolio of `autometa search` from a collection, and compare orders by what their ensembles lose.

python -m benchmarks.portfolio compare --predictions DIR --tables DIR
python -m benchmarks.portfolio write --predictions DIR --tables DIR
python -m benchmarks.portfolio write --method "by loss"

DIR of --predictions is what `autometa record --predictions` kept, DIR of --tables the recording's `recording/tables`;
neither is part of the project. What is derived from them, the order and the losses of ensembles, is. "by loss" needs
neither: it is "by single" with the recorded losses.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from autometa.policies.greedy_portfolio import greedy_order
from autometa.policies.portfolio import affordable, entries, hand_made, hand_orders
from autometa.records.collection import Collection
from autometa.records.plan import Planned, shared_configs
from autometa.records.sources import Folds
from autometa.records.time_model import Shape, TimeModel
from autometa.search.forecast import SURE
from autometa.space import key
from autometa.tables.splits import Folds as RowFolds
from autometa.tables.table import Table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "portfolio.csv"
SHIPPED = ROOT / "autometa" / "weights" / "portfolio.json"
ROWS = 800  # validation rows that ensembles are judged by while an order is made
SHARES = (0.1, 0.2, 0.35, 0.5)  # of a config that joins an ensemble
OTHER_KINDS = 0.3  # weight of tables of another kind: they know less, but they are many
STEPS = 25  # of the greedy ensemble that orders are compared by
LENGTHS = (3, 5, 8, 12, 16, 20, 30)
SECONDS = (2.0, 5.0, 10.0, 20.0, 40.0)
LONGEST = 40
FEWEST = 20  # configs of a table that is to count
MOST_SHARED = 160


@dataclass(frozen=True, eq=False)
class Recorded:
    """Predictions of the shared configs on one table.

    Every recorded metric needs one number per row: the probability of the second class (AUC), of the true class
    (log-loss), or the value (RMSE). A prediction is these numbers, shape (n,).

    Attributes:
        name, kind: of the table.
        metric: of its losses.
        target, test_target: of the validation rows that are looked at, and of the test rows.
        valid, test: predictions by config, shape (J, n); NaN where a config is not recorded.
        seconds: processor seconds by config, shape (J,).
        foretold: the same by the time model.
        constant: loss of a prediction that looks at no column.
    """

    name: str
    kind: str
    metric: str
    target: np.ndarray
    test_target: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    seconds: np.ndarray
    foretold: np.ndarray
    constant: float

    @cached_property
    def known(self) -> np.ndarray:
        """Places of the configs that are recorded."""
        return np.flatnonzero(np.isfinite(self.valid[:, 0]))

    @cached_property
    def singles(self) -> np.ndarray:
        """Loss of each config alone, shape (J,)."""
        found = np.full(len(self.valid), np.nan)
        found[self.known] = losses(self.metric, self.target, self.valid[self.known])
        return found

    @property
    def scale(self) -> float:
        """What there is to win: from a constant prediction to the best config."""
        return max(self.constant - float(np.nanmin(self.singles)), 1e-9)

    def ensemble(self, members: Sequence[int]) -> float:
        """Test loss of the greedy ensemble of some configs (Caruana et al. 2004), as a share of the constant's."""
        known = [j for j in members if j in self.known]
        if not known:
            return 1.0
        total, counts = np.zeros(len(self.target)), np.zeros(len(known))
        best, kept = np.inf, counts
        for step in range(STEPS):
            tried = losses(self.metric, self.target, (total + self.valid[known]) / (step + 1))
            chosen = int(np.argmin(tried))
            total, counts = total + self.valid[known[chosen]], counts + (np.arange(len(known)) == chosen)
            if tried[chosen] < best:
                best, kept = float(tried[chosen]), counts
        mixed = (kept / kept.sum()) @ self.test[known]
        return float(losses(self.metric, self.test_target, mixed[None])[0] / self.constant)


def losses(metric: str, target: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Of predictions of shape (m, n), shape (m,)."""
    if metric == "rmse":
        return np.sqrt(((predictions - target) ** 2).mean(axis=1))
    if metric == "log_loss":
        return -np.log(np.clip(predictions, 1e-7, 1.0)).mean(axis=1)
    assert metric == "auc"
    ones = target == 1
    ranks = rankdata(predictions, axis=1)
    pairs = max(ones.sum() * (~ones).sum(), 1)
    return 1.0 - (ranks[:, ones].sum(axis=1) - ones.sum() * (ones.sum() + 1) / 2) / pairs


def one_number(metric: str, target: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """What the metric needs of predictions of shape (n, outputs)."""
    if metric == "rmse":
        return predictions[:, 0].astype(np.float64)
    place = np.ones(len(target), np.intp) if metric == "auc" else target
    return predictions[np.arange(len(target)), place].astype(np.float64)


def read(collection: Collection, predictions: Path, tables: Path) -> list[Recorded]:
    """The tables whose predictions are there."""
    recorded, model = [], TimeModel.shipped()
    width = len(shared_of(collection))
    place = {key(c): i for i, c in enumerate(collection.configs)}
    seconds = collection.seconds[:, [place[key(p.config)] for p in shared_of(collection)]]
    for number, dataset in enumerate(collection.card.datasets):
        files = {int(p.name[7:10]): p for p in (predictions / dataset.name).glob("shared-*-1.000.npz")}
        files = {j: p for j, p in files.items() if j < width}
        if len(files) < FEWEST:
            continue
        table, test = Table.load(tables / dataset.name / "table"), Table.load(tables / dataset.name / "test")
        folds = RowFolds.load(tables / dataset.name / "folds")
        order = np.concatenate([folds.pair(k)[1] for k in range(folds.k)])
        some = np.random.default_rng(0).permutation(len(order))[:ROWS]
        target = table.target[order][some]
        valid, held_out = np.full((width, len(some)), np.nan), np.full((width, len(test)), np.nan)
        for j, path in files.items():
            kept = np.load(path)
            valid[j] = one_number(dataset.metric, target, kept["out_of_fold"][some])
            held_out[j] = one_number(dataset.metric, test.target, kept["test"])
        constant = float(collection.meta_features[dataset.name]["constant_loss"])
        shape = Shape.of_fold(table, folds)
        foretold = [folds.k * model.seconds(p.config, shape, quantile=SURE) for p in shared_of(collection)]
        known = dataset.name, dataset.kind, dataset.metric, target, test.target
        recorded.append(Recorded(*known, valid, held_out, seconds[number], np.array(foretold), constant))
    return recorded


def shared_of(collection: Collection) -> list[Planned]:
    """The shared configs that were recorded so far, as they were planned."""
    planned = shared_configs(collection.space, hand_made(collection.space), n=MOST_SHARED, seed=collection.card.seed)
    known = {key(c) for c in collection.configs}
    return [p for p in planned if key(p.config) in known]


def by_single(tables: Sequence[Recorded], weights: np.ndarray, k: int) -> list[int]:
    """The order in which each config lowers the mean loss of the best single one most."""
    return greedily(np.array([t.singles for t in tables]), np.array([t.scale for t in tables]), weights, k)


def greedily(singles: np.ndarray, scales: np.ndarray, weights: np.ndarray, k: int) -> list[int]:
    """The same from losses of shape (T, J), NaN where not recorded, and what there is to win on each table."""
    scaled = (singles - np.nanmin(singles, axis=1, keepdims=True)) / scales[:, None]
    scaled = np.clip(np.nan_to_num(scaled, nan=1.0), 0.0, 1.0)
    return greedy_order(np.repeat(scaled, np.round(10 * weights).astype(int), axis=0), k)


def by_loss(collection: Collection, kind: str, k: int) -> list[int]:
    """The order by single configs, from the recorded losses alone."""
    place = {key(c): i for i, c in enumerate(collection.configs)}
    singles = collection.full[:, [place[key(p.config)] for p in shared_of(collection)]]
    enough = np.isfinite(singles).sum(axis=1) >= FEWEST
    datasets = [d for d, kept in zip(collection.card.datasets, enough, strict=True) if kept]
    constant = np.array([float(collection.meta_features[d.name]["constant_loss"]) for d in datasets])
    singles = np.where(np.isfinite(singles[enough]), singles[enough], np.nan)
    scales = np.maximum(constant - np.nanmin(singles, axis=1), 1e-9)
    return greedily(singles, scales, np.array([1.0 if d.kind == kind else OTHER_KINDS for d in datasets]), k)


def by_ensemble(tables: Sequence[Recorded], weights: np.ndarray, k: int, *, cost: float = 0.0) -> list[int]:
    """The order in which each config lowers the mean loss of an ensemble of those before it most.

    A config joins with the best of SHARES. With ``cost`` its gain is divided by its seconds to that power.
    """
    width = len(tables[0].valid)
    blends = [np.zeros(len(t.target)) for t in tables]
    now = np.array([t.constant for t in tables])
    seconds = np.maximum(np.nanmedian([t.seconds for t in tables], axis=0), 0.05)
    order: list[int] = []
    for step in range(min(k, width)):
        gains, shares = np.zeros((len(tables), width)), np.zeros((len(tables), width))
        for i, t in enumerate(tables):
            left = np.setdiff1d(t.known, order)
            tried = np.array(
                [
                    losses(t.metric, t.target, (1 - a) * blends[i] + a * t.valid[left])
                    for a in (SHARES if step else (1.0,))
                ]
            )
            gains[i, left] = np.clip((now[i] - tried.min(axis=0)) / t.scale, 0.0, 1.0)
            shares[i, left] = np.array(SHARES if step else (1.0,))[tried.argmin(axis=0)]
        worth = weights @ gains / seconds**cost
        worth[order] = -1.0
        chosen = int(np.argmax(worth))
        order.append(chosen)
        for i, t in enumerate(tables):
            if gains[i, chosen] > 0:
                a = shares[i, chosen]
                blends[i] = (1 - a) * blends[i] + a * t.valid[chosen]
                now[i] = losses(t.metric, t.target, blends[i][None])[0]
    return order


def kind_weights(tables: Sequence[Recorded], kind: str) -> np.ndarray:
    """Of the tables, for a portfolio of one kind."""
    return np.array([1.0 if t.kind == kind else OTHER_KINDS for t in tables])


METHODS: dict[str, Callable[[Sequence[Recorded], np.ndarray, int], list[int]]] = {
    "by single": by_single,
    "by ensemble": by_ensemble,
    "by ensemble, cost^0.5": lambda t, w, k: by_ensemble(t, w, k, cost=0.5),
}


def compare(collection: Collection, recorded: list[Recorded]) -> pd.DataFrame:
    """Test losses of the ensembles of each order's beginning, on tables that the order was not learned from."""
    folds = Folds.deal(collection, 5)
    place = {name: i for i, name in enumerate(collection.names)}
    fold = np.array([folds.fold[place[t.name]] for t in recorded])
    rows = {d.name: d.recorded_rows for d in collection.card.datasets}
    found = []
    for f in np.unique(fold):
        learned = [t for t, g in zip(recorded, fold, strict=True) if g != f]
        orders = {
            (kind, method): make(learned, kind_weights(learned, kind), LONGEST)
            for kind in sorted({t.kind for t in recorded})
            for method, make in METHODS.items()
        }
        for t, g in zip(recorded, fold, strict=True):
            if g != f:
                continue
            own = {method: order for (kind, method), order in orders.items() if kind == t.kind}
            own["by hand"] = hand_orders()["small" if rows[t.name] < 1_500 else "usual"]
            for method, order in own.items():
                row = {"table": t.name, "group": int(folds.group[place[t.name]]), "kind": t.kind, "method": method}
                row |= {f"first {n}": t.ensemble(order[:n]) for n in LENGTHS if n <= len(order)}
                found.append(row | {f"{s:g} s": t.ensemble(within(t, order, s)) for s in SECONDS})
                foretold = t.foretold[order]
                row |= {"method": f"{method}, what fits first"}
                limited = {s: [order[place] for place in affordable(foretold, s)] for s in SECONDS}
                found.append(row | {f"{s:g} s": t.ensemble(within(t, limited[s], s)) for s in SECONDS})
    return pd.DataFrame(found)


def within(table: Recorded, order: Sequence[int], limit: float) -> list[int]:
    """The configs of an order's beginning that end within the limit, one after the other."""
    spent = np.cumsum(np.nan_to_num(table.seconds[list(order)]))
    return [j for j, at in zip(order, spent, strict=True) if at <= limit]


def write(collection: Collection, method: str, order: Callable[[str], list[int]], tables: int) -> None:
    """Write the shipped portfolio: an order for each kind of target, and where it comes from."""
    planned = shared_of(collection)
    names = [entry["name"] for entry in entries()]
    orders: dict[str, list[dict[str, object]]] = {}
    for kind in ("binary", "multiclass", "regression"):
        orders[kind] = []
        for j in order(kind):
            config = dict(planned[j].config)
            if kind == "regression":
                config["class_weights"] = "none"  # they mean nothing there
            name = names[j] if planned[j].origin == "default" else f"{config['algorithm']} {j}"
            orders[kind].append({"name": name, "config": config})
    card = {
        "format": 1,
        "space": collection.space.version,
        "collection": collection.card.name,
        "tables": tables,
        "shared_configs": len(planned),
        "method": method,
    }
    SHIPPED.parent.mkdir(exist_ok=True)
    SHIPPED.write_text(json.dumps(card | {"orders": orders}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["compare", "write"])
    parser.add_argument("--collection", type=Path, default=ROOT / "meta_datasets" / "tabular")
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--method", default="by ensemble", choices=[*METHODS, "by loss"])
    given = parser.parse_args()
    collection = Collection.load(given.collection)
    if given.what == "write" and given.method == "by loss":
        write(collection, given.method, lambda kind: by_loss(collection, kind, LONGEST), len(collection.names))
        return
    if given.predictions is None or given.tables is None:
        parser.error("--predictions and --tables are needed, but for: write --method 'by loss'")
    recorded = read(collection, given.predictions, given.tables)
    if given.what == "write":
        make = METHODS[given.method]
        order = lambda kind: make(recorded, kind_weights(recorded, kind), LONGEST)  # noqa: E731
        write(collection, given.method, order, len(recorded))
        return
    found = compare(collection, recorded)
    found.to_csv(RESULTS, index=False, float_format="%.5g")
    columns = [c for c in found.columns if c.startswith("first") or c.endswith(" s")]
    print(found.groupby("method")[columns].mean().round(4).to_string())


if __name__ == "__main__":
    main()
