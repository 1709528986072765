"""The trials of a run: score over time, the ensemble made of them, the leaderboard."""

from __future__ import annotations

from typing import Any

from autometa.search.report import plots, words
from autometa.search.report.reading import Row, Run

TOP = 20  # trials before the fold-out
MOST_TRIALS = 300
MOST_MEMBERS = 25
# Words that stand before a learner's own hyperparameters and say nothing beside its name.
PREFIXES = (
    "lightgbm_",
    "catboost_",
    "xgboost_",
    "forest_",
    "linear_",
    "neighbours_",
    "network_",
    "tabm_",
)


def progress(run: Run) -> dict[str, Any] | None:
    """Score over time."""
    chart = plots.score_over_time(run)
    if not chart:
        return None
    counts: dict[str, int] = {}
    for row in run.rows:
        if row.score is not None and row.elapsed is not None:
            counts[row.algorithm] = counts.get(row.algorithm, 0) + 1
    legend = [
        {"name": words.spaced(name), "css": plots.colour(name), "count": many}
        for name, many in sorted(counts.items(), key=lambda item: -item[1])
    ]
    single = words.finite(run.metrics.get("best_single_score"))
    return {
        "chart": chart,
        "legend": legend,
        "dots": bool(counts),
        "single": words.score(single) if single is not None else None,
    }


def ensemble(run: Run) -> dict[str, Any] | None:
    """The members and their weights."""
    members = sorted((r for r in run.rows if r.weight > 0), key=lambda r: -r.weight)
    if not members:
        return None
    total = sum(r.weight for r in members)
    shares: dict[str, float] = {}
    for row in members:
        shares[row.algorithm] = shares.get(row.algorithm, 0.0) + row.weight / total
    families = sorted(shares.items(), key=lambda item: -item[1])
    return {
        "families": [
            {"name": words.spaced(n), "css": plots.colour(n), "share": s, "text": words.percent(s)} for n, s in families
        ],
        "members": [
            {
                "trial": r.number,
                "name": words.spaced(r.algorithm),
                "css": plots.colour(r.algorithm),
                "width": r.weight / members[0].weight,
                "text": words.percent(r.weight / total),
                "score": words.score(r.score),
            }
            for r in members[:MOST_MEMBERS]
        ],
        "more": max(0, len(members) - MOST_MEMBERS),
        "metric": words.metric_title(run.metric),
    }


def board(run: Run) -> dict[str, Any] | None:
    """The leaderboard."""
    if not run.rows:
        return None
    entries = [_entry(place, row) for place, row in enumerate(run.rows[:MOST_TRIALS], 1)]
    reasons: dict[str, int] = {}
    for row in run.rows:
        if row.state == "failed":
            reason = row.error or "no reason was recorded"
            reasons[reason] = reasons.get(reason, 0) + 1
    return {
        "top": entries[:TOP],
        "rest": entries[TOP:],
        "left_out": max(0, len(run.rows) - MOST_TRIALS),
        "total": len(run.rows),
        "metric": words.metric_title(run.metric),
        "reasons": sorted(reasons.items(), key=lambda item: -item[1])[:12],
        "failed": sum(reasons.values()),
    }


def _entry(place: int, row: Row) -> dict[str, Any]:
    chips = _chips(row)
    return {
        "rank": place if row.state == "complete" else "",
        "trial": row.number,
        "name": words.spaced(row.algorithm or "unknown"),
        "css": plots.colour(row.algorithm),
        "state": row.state,
        "score": words.score(row.score),
        "value": "" if row.score is None else row.score,
        "weight": words.percent(row.weight) if row.weight > 0 else "",
        "share": row.weight,
        "folds": row.folds,
        "seconds": words.duration(row.seconds),
        "spent": "" if row.seconds is None else row.seconds,
        "source": row.source,
        "error": row.error,
        "first": chips[:2],
        "others": chips[2:],
    }


def _chips(row: Row) -> list[tuple[str, str]]:
    """Name and value of each hyperparameter, the learner's own before those of preprocessing."""
    own: list[tuple[str, str]] = []
    general: list[tuple[str, str]] = []
    for name, value in row.config.items():
        if name == "algorithm":
            continue
        prefix = next((p for p in PREFIXES if name.startswith(p)), "")
        shown = words.spaced(name.removeprefix(prefix))
        if isinstance(value, bool):
            text = "yes" if value else "no"
        elif isinstance(value, int | float):
            text = words.number(float(f"{value:.3g}") if isinstance(value, float) else value)
        else:
            text = words.spaced(value)
        (own if prefix else general).append((shown, text))
    return own + general
