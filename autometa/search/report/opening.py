"""The opening of the page and its end: the score, the run in figures, warnings, how to use the model."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

from autometa.search.report import words
from autometa.search.report.reading import Run

# Findings that say the score may not hold on new data.
SERIOUS = ("leak", "duplicate", "test-rows-seen")


def hero(run: Run) -> dict[str, Any]:
    """The opening: what is predicted, how well, and how that was measured."""
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


def tiles(run: Run) -> list[tuple[str, str, str]]:
    """Four figures, each with what it counts and a remark."""
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


def findings(run: Run) -> dict[str, list[dict[str, str]]]:
    """What was noticed about the data, the serious apart from the others."""
    found = [
        {"code": str(f.get("code", "")), "message": str(f.get("message", ""))}
        for f in run.run.get("findings") or []
        if isinstance(f, dict)
    ]
    serious = [f for f in found if f["code"].startswith(SERIOUS)]
    return {"serious": serious, "others": [f for f in found if f not in serious]}


def use(run: Run) -> dict[str, Any] | None:
    """How to use the model, where there is one."""
    if not run.model_exists:
        return None
    path = str(run.path)
    return {
        "predict": f"autometa predict {shlex.quote(path)} new_rows.csv --out predictions.csv",
        "proba": f"autometa predict {shlex.quote(path)} new_rows.csv --proba --out probabilities.csv",
        "classes": bool(run.run.get("classes")),
        "path": repr(path),
    }


def settings(run: Run) -> dict[str, Any]:
    """What the user asked for, and with which versions it was done."""
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
