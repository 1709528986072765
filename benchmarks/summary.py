"""What the rows of an end-to-end comparison say: ranks, win rates and paired gains.

Words: a **run** is one (table, split). A loss is 1 - AUC, log-loss or RMSE. The **gain** of ours over a peer on
a run is (peer's loss - ours) / max(both), so it lies in [-1, 1], changes its sign with the sides, and reads as
the share of the loss that the better one saves. A failed run counts as the loss of a constant prediction in
gains, and as last in ranks and wins. Runs of one table are averaged first; intervals are of a bootstrap over
dataset families.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

DRAWS = 10_000
TIE = 1e-9  # relative difference of losses below which two systems are level


@dataclass(frozen=True)
class Contrast:
    """Ours against one peer on the runs both have.

    Attributes:
        tables: how many tables they share.
        win_rate: share of the tables that ours wins, ties counting half.
        gain: mean paired gain of ours.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
    """

    tables: int
    win_rate: float
    gain: float
    low: float
    high: float


def prepare(rows: pd.DataFrame, *, time_limit: float, all_versions: bool = False) -> pd.DataFrame:
    """Rows of one time limit and, of each system, the version that came last in the file; with their losses.

    With all versions, of each run the one that came last. Adds ``loss`` (of the constant prediction where failed) and
    ``order`` (infinite where failed).
    """
    rows = rows[rows["time_limit"] == time_limit]
    if all_versions:
        rows = rows.drop_duplicates(["system", "table", "split"], keep="last")
    else:
        rows = rows[rows["version"] == rows.groupby("system")["version"].transform("last")]
    falls = rows["metric"] == "auc"

    def as_loss(scores: "pd.Series[float]") -> "pd.Series[float]":
        return scores.where(~falls, 1 - scores)

    loss = as_loss(rows["score"])
    return rows.assign(
        loss=loss.where(rows["failed"] == 0, as_loss(rows["constant_score"])),
        order=loss.where(rows["failed"] == 0, np.inf),
    )


def contrast(rows: pd.DataFrame, *, ours: str, peer: str, seed: int = 0) -> Contrast:
    """Compare two systems of prepared rows, paired by run."""
    keys = ["table", "split", "family"]
    pairs = rows[rows["system"] == ours].merge(rows[rows["system"] == peer], on=keys, suffixes=("", "_peer"))
    if pairs.empty:
        return Contrast(tables=0, win_rate=np.nan, gain=np.nan, low=np.nan, high=np.nan)
    larger = np.maximum(pairs["loss"], pairs["loss_peer"]).clip(lower=np.finfo(float).tiny)
    pairs["gain"] = (pairs["loss_peer"] - pairs["loss"]) / larger
    level = np.isclose(pairs["order"], pairs["order_peer"], rtol=TIE, atol=0.0)
    pairs["win"] = np.where(level, 0.5, pairs["order"] < pairs["order_peer"])
    tables = pairs.groupby(["family", "table"])[["gain", "win"]].mean()
    low, high = bootstrap(tables["gain"], seed=seed)
    return Contrast(
        tables=len(tables),
        win_rate=float(tables["win"].mean()),
        gain=float(tables["gain"].mean()),
        low=low,
        high=high,
    )


def bootstrap(values: "pd.Series[float]", *, seed: int, draws: int = DRAWS) -> tuple[float, float]:
    """95 % interval of the mean of values indexed by (family, table), whole families drawn with replacement."""
    families = values.groupby(level="family").agg(["sum", "count"]).to_numpy(dtype=float)
    rng = np.random.default_rng(seed)
    drawn = families[rng.integers(len(families), size=(draws, len(families)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return float(low), float(high)


def mean_ranks(rows: pd.DataFrame, systems: list[str]) -> tuple["pd.Series[float]", int]:
    """Mean rank of each system over the tables that all of them have, and how many tables those are."""
    runs = rows[rows["system"].isin(systems)].pivot_table(
        index=["table", "split"], columns="system", values="order", aggfunc="last"
    )
    # An infinite order is a failure and keeps its place; a missing one is a run that was never made.
    ranks = runs[systems].dropna().rank(axis=1).groupby(level="table").mean()
    return ranks.mean(), len(ranks)
