"""Learn the portfolio of `autometa search` from a collection, and compare orders by what their ensembles lose.

python -m benchmarks.portfolio compare --predictions DIR --tables DIR
python -m benchmarks.portfolio write --predictions DIR --tables DIR

DIR of --predictions is what `autometa record --predictions` kept, DIR of --tables the recording's `recording/tables`;
neither is part of the project. What is derived from them, the order and the losses of ensembles, is.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from autometa.policies.greedy_portfolio import greedy_order
from autometa.policies.portfolio import entries, hand_made, hand_orders
from autometa.pool import key
from autometa.records.collection import Collection
from autometa.records.plan import Planned, shared_configs
from autometa.records.sources import Folds
from autometa.tables.metrics import Metric, resolve_metric
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
MOST_SHARED = 160


@dataclass(frozen=True, eq=False)
class Recorded:
    """Predictions of the shared configs on one table.

    Attributes:
        name, kind: of the table.
        metric: of its losses.
        target, test_target: of the validation rows, fold after fold, and of the test rows.
        valid, test: predictions by config.
        seconds: processor seconds by config.
        constant: loss of a prediction that looks at no column.
    """

    name: str
    kind: str
    metric: Metric
    target: np.ndarray
    test_target: np.ndarray
    valid: dict[int, np.ndarray]
    test: dict[int, np.ndarray]
    seconds: np.ndarray
    constant: float

    @cached_property
    def rows(self) -> np.ndarray:
        """The validation rows that are looked at."""
        n = len(self.target)
        return np.arange(n) if n <= ROWS else np.random.default_rng(0).choice(n, ROWS, replace=False)

    def loss(self, predictions: np.ndarray) -> float:
        """Of predictions for ``rows``; the worst there can be where it is undefined."""
        value = self.metric.loss(self.target[self.rows], predictions)
        return value if np.isfinite(value) else self.constant

    @cached_property
    def singles(self) -> dict[int, float]:
        """Loss of each config alone."""
        return {j: self.loss(p[self.rows]) for j, p in self.valid.items()}

    @property
    def scale(self) -> float:
        """What there is to win: from a constant prediction to the best config."""
        return max(self.constant - min(self.singles.values()), 1e-9)

    def ensemble(self, members: Sequence[int]) -> float:
        """Test loss of the greedy ensemble of some configs (Caruana et al. 2004), as a share of the constant's."""
        known = [j for j in members if j in self.valid]
        if not known:
            return 1.0
        candidates = np.stack([self.valid[j][self.rows] for j in known]).astype(np.float64)
        total, counts = np.zeros_like(candidates[0]), np.zeros(len(known))
        best, kept = np.inf, counts
        for step in range(STEPS):
            losses = [self.loss((total + c) / (step + 1)) for c in candidates]
            chosen = int(np.argmin(losses))
            total, counts = total + candidates[chosen], counts + (np.arange(len(known)) == chosen)
            if losses[chosen] < best:
                best, kept = losses[chosen], counts
        weights = kept / kept.sum()
        mixed = sum(w * self.test[j].astype(np.float64) for w, j in zip(weights, known, strict=True) if w)
        value = self.metric.loss(self.test_target, mixed)
        return float(value / self.constant) if np.isfinite(value) else 1.0


def read(collection: Collection, predictions: Path, tables: Path) -> list[Recorded]:
    """The tables whose predictions are there."""
    recorded = []
    place = {key(c): i for i, c in enumerate(collection.configs)}
    seconds = collection.seconds[:, [place[key(p.config)] for p in shared_of(collection)]]
    for number, dataset in enumerate(collection.card.datasets):
        files = {int(p.name[7:10]): p for p in (predictions / dataset.name).glob("shared-*-1.000.npz")}
        if len(files) < 20:
            continue
        table, test = Table.load(tables / dataset.name / "table"), Table.load(tables / dataset.name / "test")
        folds = RowFolds.load(tables / dataset.name / "folds")
        order = np.concatenate([folds.pair(k)[1] for k in range(folds.k)])
        kept = {j: np.load(p) for j, p in sorted(files.items())}
        recorded.append(
            Recorded(
                dataset.name,
                dataset.kind,
                resolve_metric(dataset.metric, dataset.kind),
                table.target[order],
                test.target,
                {j: k["out_of_fold"] for j, k in kept.items()},
                {j: k["test"] for j, k in kept.items()},
                seconds[number],
                float(collection.meta_features[dataset.name]["constant_loss"]),
            )
        )
    return recorded


def shared_of(collection: Collection) -> list[Planned]:
    """The shared configs that were recorded so far, as they were planned."""
    planned = shared_configs(collection.space, hand_made(collection.space), n=MOST_SHARED, seed=collection.card.seed)
    known = {key(c) for c in collection.configs}
    return [p for p in planned if key(p.config) in known]


def by_single(tables: Sequence[Recorded], weights: np.ndarray, k: int) -> list[int]:
    """The order in which each config lowers the mean loss of the best single one most."""
    width = 1 + max(j for t in tables for j in t.valid)
    scaled = np.ones((len(tables), width))
    for i, t in enumerate(tables):
        least = min(t.singles.values())
        for j, loss in t.singles.items():
            scaled[i, j] = min((loss - least) / t.scale, 1.0)
    repeated = np.repeat(scaled, np.round(10 * weights).astype(int), axis=0)
    return greedy_order(repeated, k)


def by_ensemble(tables: Sequence[Recorded], weights: np.ndarray, k: int, *, cost: float = 0.0) -> list[int]:
    """The order in which each config lowers the mean loss of an ensemble of those before it most.

    A config joins with the best of SHARES. With ``cost`` its gain is divided by its seconds to that power.
    """
    blends: list[np.ndarray | None] = [None] * len(tables)
    losses = np.array([t.constant for t in tables])
    width = 1 + max(j for t in tables for j in t.valid)
    seconds = np.array([np.nanmedian([t.seconds[j] for t in tables if j in t.valid] or [np.nan]) for j in range(width)])
    order: list[int] = []
    for _ in range(min(k, width)):
        gains = np.zeros((len(tables), width))
        shares = np.ones((len(tables), width))
        for i, t in enumerate(tables):
            for j, predictions in t.valid.items():
                if j in order:
                    continue
                own = predictions[t.rows].astype(np.float64)
                blend = blends[i]
                tried = [(1.0, own)] if blend is None else [(a, (1 - a) * blend + a * own) for a in SHARES]
                loss, shares[i, j] = min((t.loss(p), a) for a, p in tried)
                gains[i, j] = np.clip((losses[i] - loss) / t.scale, 0.0, 1.0)
        worth = weights @ gains / np.maximum(seconds, 0.05) ** cost
        worth[order] = -1.0
        chosen = int(np.argmax(worth))
        order.append(chosen)
        for i, t in enumerate(tables):
            if chosen in t.valid and gains[i, chosen] > 0:
                own, a, blend = t.valid[chosen][t.rows].astype(np.float64), shares[i, chosen], blends[i]
                blends[i] = own if blend is None else (1 - a) * blend + a * own
                losses[i] = t.loss(blends[i])
    return order


def kind_weights(tables: Sequence[Recorded], kind: str) -> np.ndarray:
    """Of the tables, for a portfolio of one kind."""
    return np.array([1.0 if t.kind == kind else OTHER_KINDS for t in tables])


METHODS: dict[str, Callable[[Sequence[Recorded], np.ndarray, int], list[int]]] = {
    "by single": by_single,
    "by ensemble": by_ensemble,
    "by ensemble, cost^0.25": lambda t, w, k: by_ensemble(t, w, k, cost=0.25),
    "by ensemble, cost^0.5": lambda t, w, k: by_ensemble(t, w, k, cost=0.5),
}


def compare(collection: Collection, recorded: list[Recorded]) -> pd.DataFrame:
    """Test losses of the ensembles of each order's beginning, on tables that the order was not learned from."""
    folds = Folds.deal(collection, 5)
    place = {name: i for i, name in enumerate(collection.names)}
    fold = np.array([folds.fold[place[t.name]] for t in recorded])
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
            own["by hand"] = hand_orders()["small" if len(t.target) < 1_500 else "usual"]
            for method, order in own.items():
                spent = np.cumsum(np.nan_to_num([t.seconds[j] if j in t.valid else 0.0 for j in order]))
                row = {"table": t.name, "group": int(folds.group[place[t.name]]), "kind": t.kind, "method": method}
                row |= {f"first {n}": t.ensemble(order[:n]) for n in LENGTHS if n <= len(order)}
                row |= {
                    f"{s:g} s": t.ensemble([j for j, c in zip(order, spent, strict=True) if c <= s]) for s in SECONDS
                }
                found.append(row)
    return pd.DataFrame(found)


def write(collection: Collection, recorded: list[Recorded], method: str) -> None:
    """Write the shipped portfolio: an order for each kind of target, and where it comes from."""
    planned = shared_of(collection)
    names = [entry["name"] for entry in entries()]
    orders: dict[str, list[dict[str, object]]] = {}
    for kind in ("binary", "multiclass", "regression"):
        orders[kind] = []
        for j in METHODS[method](recorded, kind_weights(recorded, kind), LONGEST):
            config = dict(planned[j].config)
            if kind == "regression":
                config["class_weights"] = "none"  # they mean nothing there
            name = names[j] if planned[j].origin == "default" else f"{config['algorithm']} {j}"
            orders[kind].append({"name": name, "config": config})
    card = {
        "format": 1,
        "space": collection.space.version,
        "collection": collection.card.name,
        "tables": len(recorded),
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
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--method", default="by ensemble")
    given = parser.parse_args()
    collection = Collection.load(given.collection)
    recorded = read(collection, given.predictions, given.tables)
    if given.what == "write":
        write(collection, recorded, given.method)
        return
    found = compare(collection, recorded)
    found.to_csv(RESULTS, index=False, float_format="%.5g")
    columns = [c for c in found.columns if c.startswith("first") or c.endswith(" s")]
    print(found.groupby("method")[columns].mean().round(4).to_string())


if __name__ == "__main__":
    main()
