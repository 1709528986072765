"""How the final model behaves: right and wrong, probabilities, what it looks at."""

from __future__ import annotations

from typing import Any

from autometa.search.report import plots, words
from autometa.search.report.reading import Run

TOP = 20  # classes and columns before the fold-out
MOST_COLUMNS = 300


def classes(run: Run) -> dict[str, Any] | None:
    """Which classes are taken for which."""
    confusion = run.evidence.get("confusion")
    if not confusion or not confusion.get("classes"):
        return None
    names = [str(c) for c in confusion["classes"]]
    if confusion.get("others"):
        names.append(f"{confusion['others']:,} other classes")
    table = []
    for i, counts in enumerate(confusion["counts"]):
        total = sum(counts)
        cells = [
            {
                "count": words.count(c),
                "share": c / total if total else 0.0,
                "text": words.percent(c / total) if total else "–",
                "right": i == j and i < len(confusion["classes"]),
                "predicted": names[j],
            }
            for j, c in enumerate(counts)
        ]
        table.append({"name": names[i], "total": words.count(total), "cells": cells})
    scores = [
        {
            "name": str(c["class"]),
            "rows": words.count(c["rows"]),
            **{
                k: {"text": words.percent(c[k]), "share": words.finite(c[k]) or 0.0}
                for k in ("precision", "recall", "f1")
            },
        }
        for c in run.evidence.get("per_class") or []
    ]
    threshold = words.finite(run.evidence.get("threshold"))
    return {
        "names": names,
        "look": "large" if len(names) <= 3 else "dense" if len(names) > 6 else "",
        "table": table,
        "pairs": [p | {"rows": words.count(p["rows"])} for p in confusion.get("pairs") or []] if len(names) > 3 else [],
        "scores": scores[:TOP],
        "more_scores": scores[TOP:],
        "accuracy": words.percent(run.evidence.get("accuracy")),
        "rows": words.count(run.evidence.get("rows")),
        "threshold": words.number(threshold) if threshold is not None else None,
        "positive": names[1] if len(names) == 2 else "",
        "all_classes": len(run.run.get("classes") or names),
    }


def numbers(run: Run) -> dict[str, Any] | None:
    """How far off predicted numbers are."""
    errors = run.evidence.get("errors")
    if not errors:
        return None
    return {
        "agreement": plots.agreement(run.evidence, run.target),
        "residuals": plots.residuals(run.evidence),
        "half": words.number(errors.get("half_within")),
        "most": words.number(errors.get("most_within")),
        "explained": words.percent(errors.get("explained")),
        "rows": words.count(run.evidence.get("rows")),
        "mean": words.number(errors.get("mean")),
        "root": words.number(errors.get("root_mean_square")),
    }


def probabilities(run: Run) -> dict[str, Any] | None:
    """Whether probabilities can be trusted."""
    classes = [str(c) for c in run.run.get("classes") or []]
    chart = plots.reliability(run.evidence)
    if not chart:
        return None
    positive = classes[1] if len(classes) == 2 else ""
    return {
        "reliability": chart,
        "error": words.percent(run.evidence["reliability"].get("error")),
        "positive": positive,
        "sides": [str(s) for s in (run.evidence.get("separation") or {}).get("names") or []],
        "roc": plots.roc(run.evidence, positive) if positive else "",
        "precision_recall": plots.precision_recall(run.evidence, positive) if positive else "",
        "separation": plots.separation(run.evidence),
        "area": words.score((run.evidence.get("roc") or {}).get("area")),
        "average": words.score((run.evidence.get("precision_recall") or {}).get("area")),
    }


def importance(run: Run) -> dict[str, Any] | None:
    """What the model looks at."""
    content = run.evidence.get("importance") or {}
    columns = content.get("columns") or []
    if not columns and not content.get("total"):
        return None
    reach = max([float(c["mean"]) + float(c["std"] or 0) for c in columns] + [0.0]) or 1.0
    bars = []
    for c in columns[:MOST_COLUMNS]:
        mean, spread = float(c["mean"]), float(c["std"] or 0)
        bars.append(
            {
                "name": str(c["column"]),
                "width": max(0.0, mean / reach),
                "low": max(0.0, (mean - spread) / reach),
                "high": min(1.0, max(0.0, (mean + spread) / reach)),
                "text": words.score(mean) if abs(mean) >= 5e-5 else "0",
                "spread": words.spread(spread, mean) if spread else "",
                "idle": mean <= 2 * spread,
            }
        )
    return {
        "top": bars[:TOP],
        "rest": bars[TOP:],
        "done": int(content.get("done", 0)),
        "total": int(content.get("total", 0)),
        "rows": words.count(content.get("rows")),
        "repeats": int(content.get("repeats", 0)),
        "metric": words.metric_title(run.metric),
    }
