"""Small made-up tables for tests."""

import numpy as np
import pandas as pd


def classification(rows=200, *, classes=2, seed=0):
    """Numbers, a category and a gap or two; the target depends on both kinds."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 3))
    colour = rng.choice(["red", "green", "blue"], rows)
    raw = x[:, 0] + 0.5 * x[:, 1] ** 2 + (colour == "red") + 0.3 * rng.standard_normal(rows)
    codes = pd.qcut(raw, classes, labels=False)
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(colour=colour)
    frame.loc[frame.index % 17 == 0, "b"] = np.nan
    return frame.assign(label=[f"class{c}" for c in codes])


def regression(rows=200, *, seed=0):
    """Numbers and a category; the target is a number."""
    frame = classification(rows, seed=seed).drop(columns="label")
    rng = np.random.default_rng(seed + 1)
    noise = 0.1 * rng.standard_normal(rows)
    return frame.assign(y=2 * frame.a - frame.c + (frame.colour == "blue") + noise + 10)
