"""What the page shows: the contents of a run, worded and ordered for the template."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from autometa.search.report import plots, words
from autometa.search.report.charts import spark_bars
from autometa.search.report.reading import Row, Run

TOP = 20  # trials, columns and classes shown before the fold-out
MOST_TRIALS = 300
MOST_COLUMNS = 300
MOST_MEMBERS = 25
# Findings that say the score may not hold on new data.
SERIOUS = ("leak", "duplicate", "test-rows-seen")
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


def page(run: Run) -> dict[str, Any]:
    """Everything the template asks for; a part that cannot be made is left out and named."""
    context: dict[str, Any] = {"problems": [f"{name} could not be read" for name in run.unread]}
    parts: dict[str, Callable[[Run], Any]] = {
        "hero": _hero,
        "tiles": _tiles,
        "findings": _findings,
        "progress": _progress,
        "ensemble": _ensemble,
        "board": _board,
        "classes": _classes,
        "numbers": _numbers,
        "probabilities": _probabilities,
        "importance": _importance,
        "data": _data,
        "use": _use,
        "settings": _settings,
    }
    for name, make in parts.items():
        try:
            context[name] = make(run)
        # Files of another version must not cost the reader the parts that can be shown.
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
            context[name] = None
            context["problems"].append(f"the part “{name}” could not be drawn ({type(error).__name__}: {error})")
    return context


def _hero(run: Run) -> dict[str, Any]:
    target = run.target
    classes = [str(c) for c in run.run.get("classes") or []]
    if not classes:
        what = "a number"
    elif len(classes) <= 3:
        what = f"one of {len(classes)} classes: " + ", ".join(classes)
    else:
        what = f"one of {len(classes):,} classes"
    score = words.finite(run.metrics.get("validation_score"))
    return {
        "target": target,
        "what": what,
        "source": _source(run),
        "metric": words.metric_title(run.metric),
        "meaning": words.metric_meaning(run.metric, greater_is_better=run.greater_is_better),
        "score": words.score(score),
        "known": score is not None,
        "how": _how_measured(run),
        "test": words.score(run.metrics["test_score"])
        if words.finite(run.metrics.get("test_score")) is not None
        else None,
        "test_file": Path(str(run.settings.get("test") or "")).name,
        "gauge": _gauge(run, score),
        "finished": run.finished,
        "resume": f"autometa resume {shlex.quote(str(run.path))}",
        "run": run.path.name or str(run.path),
        "date": _date(run.run.get("started")),
        "version": str(run.run.get("version") or ""),
    }


def _gauge(run: Run, score: float | None) -> dict[str, Any] | None:
    """Where the score lies between always guessing the same and being perfect."""
    guess, perfect = words.finite(run.evidence.get("guess_score")), words.perfect(run.metric)
    if score is None or guess is None or perfect is None or guess == perfect:
        return None
    share = (guess - score) / (guess - perfect)
    return {
        "share": min(1.0, max(0.0, share)),
        "text": words.percent(min(1.0, max(0.0, share))),
        "guess": words.score(guess),
        "perfect": words.number(perfect),
        "worse": share <= 0,
    }


def _how_measured(run: Run) -> str:
    plan, settings = run.run.get("plan") or {}, run.settings
    folds = words.finite(plan.get("folds"))
    if settings.get("time_column"):
        return "on rows later than those the models were trained on"
    if settings.get("group"):
        return f"on groups of {settings['group']} that the models had not seen"
    return f"by {folds:.0f}-fold cross-validation" if folds else "on rows that the models had not seen"


def _source(run: Run) -> str:
    data = str(run.settings.get("data") or "")
    return "standard input" if data == "-" else Path(data).name or "the table"


def _date(started: Any) -> str:
    seconds = words.finite(started)
    if seconds is None:
        return ""
    return time.strftime("%-d %B %Y, %H:%M", time.localtime(seconds))


def _tiles(run: Run) -> list[tuple[str, str, str]]:
    tiles = []
    rows, total = words.finite(run.run.get("rows")), words.finite(run.run.get("rows_total"))
    if rows is not None:
        fewer = total is not None and total > rows
        more = f"of {words.count(total)} in {_source(run)}" if fewer else _columns(run)
        tiles.append((words.count(rows), "rows", more))
    tried = len(run.rows) or words.finite(run.metrics.get("trials")) or 0
    failed = sum(r.state == "failed" for r in run.rows)
    stopped = sum(r.state == "pruned" for r in run.rows)
    notes = [f"{failed:,} failed"] if failed else []
    notes += [f"{stopped:,} stopped early"] if stopped else []
    tiles.append((words.count(tried), "configs tried", ", ".join(notes)))
    members = sum(r.weight > 0 for r in run.rows)
    if members:
        families = len({r.algorithm for r in run.rows if r.weight > 0})
        tiles.append((words.count(members), "models in the ensemble", f"of {words.plural(families, 'kind')}"))
    spent = words.finite(run.metrics.get("seconds"))
    if spent is not None:
        limit = words.finite(run.settings.get("time_limit"))
        granted = f"of {words.duration(limit)} granted" if limit else ""
        tiles.append((words.duration(spent), "of searching", granted))
    return tiles


def _columns(run: Run) -> str:
    many = words.finite(run.data.get("total_columns"))
    return words.plural(int(many), "column") if many is not None else ""


def _findings(run: Run) -> dict[str, list[dict[str, str]]]:
    found = [
        {"code": str(f.get("code", "")), "message": str(f.get("message", ""))}
        for f in run.run.get("findings") or []
        if isinstance(f, dict)
    ]
    serious = [f for f in found if f["code"].startswith(SERIOUS)]
    return {"serious": serious, "others": [f for f in found if f not in serious]}


def _progress(run: Run) -> dict[str, Any] | None:
    chart = plots.score_over_time(run)
    if not chart:
        return None
    counts: dict[str, int] = {}
    for row in run.rows:
        if row.score is not None:
            counts[row.algorithm] = counts.get(row.algorithm, 0) + 1
    legend = [
        {"name": words.spaced(name), "css": plots.colour(name), "count": many}
        for name, many in sorted(counts.items(), key=lambda item: -item[1])
    ]
    single = words.finite(run.metrics.get("best_single_score"))
    return {"chart": chart, "legend": legend, "single": words.score(single) if single is not None else None}


def _ensemble(run: Run) -> dict[str, Any] | None:
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


def _board(run: Run) -> dict[str, Any] | None:
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


def _classes(run: Run) -> dict[str, Any] | None:
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


def _numbers(run: Run) -> dict[str, Any] | None:
    errors = run.evidence.get("errors")
    if not errors:
        return None
    return {
        "agreement": plots.agreement(run.evidence, run.target),
        "residuals": plots.residuals(run.evidence),
        "half": words.number(errors.get("half_within")),
        "most": words.number(errors.get("most_within")),
        "explained": words.percent(errors.get("explained")),
        "mean": words.number(errors.get("mean")),
        "root": words.number(errors.get("root_mean_square")),
    }


def _probabilities(run: Run) -> dict[str, Any] | None:
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


def _importance(run: Run) -> dict[str, Any] | None:
    content = run.evidence.get("importance") or {}
    columns = content.get("columns") or []
    if not columns:
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


def _data(run: Run) -> dict[str, Any] | None:
    content, columns = run.data, run.data.get("columns") or []
    if not columns:
        return None
    described = [_column(c) for c in columns[:MOST_COLUMNS]]
    target = content.get("target")
    return {
        "target": _column(target) if target else None,
        "top": described[:TOP],
        "rest": described[TOP:],
        "left_out": max(0, int(content.get("total_columns", 0)) - len(described)),
        "total": words.count(content.get("total_columns")),
        "rows": words.count(content.get("rows")),
        "looked_at": words.count(content.get("looked_at")) if content.get("looked_at") != content.get("rows") else None,
    }


def _column(content: dict[str, Any]) -> dict[str, Any]:
    role = str(content.get("role") or "")
    missing = words.finite(content.get("missing")) or 0.0
    relation = words.finite(content.get("relation"))
    shape: Markup | list[dict[str, Any]]
    if "counts" in content:
        low, middle, high = (words.value(content.get(key)) for key in ("low", "median", "high"))
        note = f"{low} to {high}, median {middle}" if content["counts"] else "no values"
        shape, levels = spark_bars(content["counts"], note), []
    else:
        filled = max(1, int(content.get("filled") or 1))
        levels = [
            {"value": str(v), "share": c / filled, "text": words.percent(c / filled)}
            for v, c in content.get("top") or []
        ]
        shape = Markup()
        note = ", ".join(f"{lv['value']} {lv['text']}" for lv in levels[:3]) if levels else "no values"
        if levels and (content.get("distinct") or 0) > 0.9 * filled:
            note, levels = f"such as {levels[0]['value']}", []
    return {
        "name": str(content.get("name", "")),
        "role": role,
        "missing": words.percent(missing) if missing else "",
        "gap": missing,
        "distinct": words.count(content.get("distinct")),
        "different": content.get("distinct"),
        "relation": relation or 0.0,
        "says": "" if relation is None else f"{relation:.2f}",
        "shape": shape,
        "levels": levels,
        "note": note,
        "unused": role in ("id", "constant", "nested"),
    }


def _use(run: Run) -> dict[str, Any] | None:
    if not run.model_exists:
        return None
    path = str(run.path)
    return {
        "predict": f"autometa predict {shlex.quote(path)} new_rows.csv --out predictions.csv",
        "proba": f"autometa predict {shlex.quote(path)} new_rows.csv --proba --out probabilities.csv",
        "classes": bool(run.run.get("classes")),
        "path": repr(path),
    }


def _settings(run: Run) -> dict[str, Any]:
    rows = []
    for name, value in run.settings.items():
        if value is None or (name == "embargo" and not value):
            continue
        if name == "memory":
            text = words.size(value)
        elif name == "time_limit":
            text = words.duration(value)
        else:
            text = str(value)
        rows.append((words.spaced(name), text))
    warm = run.metrics.get("warm_start")
    if isinstance(warm, dict):
        rows.append(("first configs from", f"{warm.get('source', '')} ({warm.get('configs', '')})"))
    if run.metrics.get("executor"):
        rows.append(("executor", str(run.metrics["executor"])))
    versions = run.run.get("versions")
    return {
        "settings": rows,
        "versions": [(str(k), str(v)) for k, v in versions.items()] if isinstance(versions, dict) else [],
    }
