"""Made-up tables of arrays, and full configs, for the tests of preprocessing and learners."""

import numpy as np

from autometa.space import Space
from autometa.tables.table import Features, Table

SPACE = Space.load("tabular")
ALGORITHMS = SPACE["algorithm"].choices
# Narrow networks: a test asks whether it works, not how well.
SMALL = {"network_width": 32, "network_blocks": 1, "tabm_ensemble_width": 4}


def config(algorithm, **given):
    """A full config: defaults, narrow networks, and what is given."""
    small = {name: value for name, value in SMALL.items() if name.partition("_")[0] in (algorithm, "network")}
    if algorithm not in ("network", "tabm"):
        small = {}
    return SPACE.complete({"algorithm": algorithm, **small, **given})


def table(kind="binary", *, rows=120, numbers=4, categories=2, classes=None, seed=0, gaps=True, weights=False):
    """A table whose target depends on its first number and its first category."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, numbers)).astype(np.float32)
    codes = rng.integers(0, 4, (rows, categories)).astype(np.int32)
    signal = (x[:, 0] if numbers else 0.0) + (codes[:, 0] if categories else 0.0) + 0.3 * rng.standard_normal(rows)
    if gaps:
        x[rng.random(x.shape) < 0.1] = np.nan
        codes[rng.random(codes.shape) < 0.1] = -1
    features = Features(
        x,
        codes,
        (4,) * categories,
        tuple(f"x{i}" for i in range(numbers)),
        tuple(f"c{i}" for i in range(categories)),
    )
    row_weights = rng.random(rows) + 0.1 if weights else None
    if kind == "regression":
        return Table(features, 50 + 10 * signal.astype(np.float64), (), row_weights)
    count = classes or (2 if kind == "binary" else 3)
    edges = np.quantile(signal, np.linspace(0, 1, count + 1)[1:-1])
    target = np.searchsorted(edges, signal).astype(np.int64)
    return Table(features, target, tuple(f"k{i}" for i in range(count)), row_weights)


def halves(of, share=0.75):
    """Training and validation row numbers."""
    rows = np.arange(len(of))
    cut = int(share * len(of))
    return rows[:cut], rows[cut:]
