"""leaderboard.csv and metrics.json: what a run has to show, at every moment."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autometa.search.best import Best
    from autometa.search.records import TrialRecord
    from autometa.tables.metrics import Metric

COLUMNS = (
    "rank",
    "trial",
    "state",
    "loss",
    "score",
    "folds",
    "weight",
    "algorithm",
    "source",
    "seconds",
    "elapsed",
    "node",
    "error",
    "config",
)


def leaderboard_csv(records: Sequence[TrialRecord], members: Mapping[int, float], metric: Metric) -> str:
    """One row per trial: whole ones by loss, then those with fewer folds, failed ones last."""
    order = {"complete": 0, "pruned": 1, "paused": 1, "running": 2, "failed": 3}

    def place(r: TrialRecord) -> tuple[int, float, int]:
        return order[r.stage], math.inf if math.isnan(r.loss) else r.loss, r.number

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rank, r in enumerate(sorted(records, key=place), start=1):
        known = not math.isnan(r.loss)
        writer.writerow(
            (
                rank,
                r.number,
                r.stage,
                f"{r.loss:.10g}" if known else "",
                f"{metric.score_of(r.loss):.10g}" if known else "",
                len(r.folds),
                f"{members.get(r.number, 0.0):.6g}",
                r.algorithm,
                r.source,
                f"{r.seconds:.3f}",
                "" if math.isnan(r.elapsed) else f"{r.elapsed:.3f}",
                " ".join(r.nodes),
                r.error,
                json.dumps(dict(r.config)),
            )
        )
    return out.getvalue()


def metrics_json(
    records: Sequence[TrialRecord],
    best: Best | None,
    metric: Metric,
    *,
    executor: str,
    policy: str,
    seconds: float,
    history: Sequence[tuple[float, float]],
    test_loss: float | None,
) -> dict[str, Any]:
    """The content of metrics.json."""
    prior = sum(r.prior for r in records)
    losses = [r.loss for r in records if r.stage == "complete" and not math.isnan(r.loss)]
    content: dict[str, Any] = {
        "executor": executor,
        "metric": metric.name,
        "direction": "maximize" if metric.greater_is_better else "minimize",
        "validation_score": _score(metric, best.loss if best else math.nan),
    }
    if test_loss is not None:
        content["test_score"] = _score(metric, test_loss)
    return content | {
        "best_single_score": _score(metric, min(losses, default=math.nan)),
        "trials": len(records),
        "failed_trials": sum(r.stage == "failed" for r in records),
        "pruned_trials": sum(r.stage == "pruned" for r in records),
        "seconds": round(seconds, 3),
        "policy": policy,
        "warm_start": {"source": "portfolio", "configs": prior} if prior else None,
        "ensemble_size": len(best.members) if best else 0,
        "ensemble_rule": best.rule if best else None,
        "history": [[round(t, 3), s] for t, s in history],
    }


def _score(metric: Metric, loss: float) -> float | None:
    return None if math.isnan(loss) else metric.score_of(loss)
