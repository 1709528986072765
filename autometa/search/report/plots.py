"""The particular charts of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from autometa.search.report import words
from autometa.search.report.charts import (
    Axis,
    Point,
    area,
    axis,
    bars,
    chart,
    density,
    dot,
    dots,
    label_at,
    line,
    log_axis,
    steps,
    time_axis,
)
from autometa.search.report.reading import Row, Run

MOST_NAMED_DOTS = 400  # trials that say what they are when pointed at; more would make a heavy page
SHARES = tuple((v / 4, words.percent(v / 4)) for v in range(5))
ALGORITHMS = (
    "lightgbm",
    "catboost",
    "xgboost",
    "extra_trees",
    "random_forest",
    "linear",
    "nearest_neighbours",
    "network",
    "tabm",
)


def colour(algorithm: str) -> str:
    """The CSS class with the colour of an algorithm."""
    return f"c-{algorithm}" if algorithm in ALGORITHMS else "c-other"


def score_over_time(run: Run) -> Markup:
    """Every trial as a dot, and the best ensemble so far as a step line."""
    history = _history(run)
    scored = [r for r in run.rows if r.score is not None and r.elapsed is not None]
    if not history and not scored:
        return Markup()
    end = max(
        [words.finite(run.metrics.get("seconds")) or 0.0, *(r.elapsed or 0.0 for r in scored), *(t for t, _ in history)]
    )
    x = time_axis(end, title="time since the start")
    y = _score_axis(run, history, scored)
    shapes = []
    if history:
        path = steps([(x.place(t), y.place(s)) for t, s in history], x.place(end))
        # The side that has been left behind.
        shapes += [area(path, "fill", base=0.0 if run.greater_is_better else 1.0), line(path, "best")]
    shapes += _trial_dots(run, scored, x, y)
    over = Markup()
    if history:
        final = history[-1][1]
        over = label_at(1.0, y.place(final), words.score(final), "last")
    about = f"{words.plural(len(scored), 'trial')} over {words.duration(end)}"
    if history:
        about += f"; the best ensemble went from {words.score(history[0][1])} to {words.score(history[-1][1])}"
    return chart(shapes, x, y, about=about, css="wide", over=over)


def _history(run: Run) -> list[Point]:
    pairs = [p for p in run.metrics.get("history") or [] if isinstance(p, list) and len(p) == 2]
    points = [(words.finite(t), words.finite(s)) for t, s in pairs]
    return [(t, s) for t, s in points if t is not None and s is not None]


def _score_axis(run: Run, history: list[Point], scored: Sequence[Row]) -> Axis:
    """A range that shows the best half well; what is far worse sits on the edge."""
    sign = 1.0 if run.greater_is_better else -1.0
    values = sorted(sign * r.score for r in scored if r.score is not None)
    best = max([*values[-1:], *(sign * s for _, s in history)])
    start = sign * history[0][1] if history else best
    poor = values[int(0.25 * (len(values) - 1))] if values else best
    low = min(poor, start)
    # One hopeless trial early on must not flatten all that follows.
    typical = values[len(values) // 2] if values else best
    low = max(low, best - 4 * (best - typical)) if best > typical else low
    pad = (best - low) * 0.12 or abs(best) * 0.02 or 0.02
    ends = sorted((sign * (low - pad), sign * (best + pad)))
    name = words.metric_title(run.metric)
    title = f"{name}, {'higher' if run.greater_is_better else 'lower'} is better"
    return axis(ends[0], ends[1], title=title)


def _trial_dots(run: Run, scored: Sequence[Row], x: Axis, y: Axis) -> list[Markup]:
    name = words.metric_title(run.metric)
    if len(scored) > MOST_NAMED_DOTS:
        by_look: dict[str, list[Point]] = {}
        for row in scored:
            by_look.setdefault(_look(row), []).append((x.place(row.elapsed or 0.0), y.place(row.score or 0.0)))
        return [dots(points, f"many {look}") for look, points in sorted(by_look.items())]
    return [
        dot(
            x.place(row.elapsed or 0.0),
            y.place(row.score or 0.0),
            _look(row),
            f"trial {row.number}, {words.spaced(row.algorithm)}: {name} {words.score(row.score)}"
            f" after {words.duration(row.elapsed)}{', stopped early' if row.state == 'pruned' else ''}",
        )
        for row in scored
    ]


def _look(row: Row) -> str:
    return f"{colour(row.algorithm)}{' faint' if row.state == 'pruned' else ''}"


# Classes


def roc(evidence: dict[str, Any], positive: str) -> Markup:
    """The ROC curve."""
    points, area_below = _curve(evidence.get("roc"))
    about = f"ROC curve of {positive}: area {words.score(area_below)}"
    x, y = Axis(0, 1, SHARES, "false alarms"), Axis(0, 1, SHARES, "found")
    guess = line([(0, 0), (1, 1)], "guess")
    return (
        chart([guess, area(points, "fill"), line(points, "best")], x, y, about=about, css="square")
        if points
        else Markup()
    )


def precision_recall(evidence: dict[str, Any], positive: str) -> Markup:
    """Precision over recall, with the share of the class as what guessing gives."""
    points, area_below = _curve(evidence.get("precision_recall"))
    if not points:
        return Markup()
    share = words.finite(evidence["precision_recall"].get("share")) or 0.0
    about = f"precision over recall of {positive}: average precision {words.score(area_below)}"
    x, y = Axis(0, 1, SHARES, "found (recall)"), Axis(0, 1, SHARES, "right when named (precision)")
    guess = line([(0, share), (1, share)], "guess")
    return chart([guess, area(points, "fill"), line(points, "best")], x, y, about=about, css="square")


def _curve(content: Any) -> tuple[list[Point], float | None]:
    if not isinstance(content, dict):
        return [], None
    return [(float(x), float(y)) for x, y in content.get("points") or []], words.finite(content.get("area"))


def reliability(evidence: dict[str, Any]) -> Markup:
    """Predicted probability against what happened, with 95 % intervals."""
    bins = [b for b in (evidence.get("reliability") or {}).get("bins") or [] if b.get("predicted") is not None]
    if not bins:
        return Markup()
    points = [(float(b["predicted"]), float(b["observed"])) for b in bins]
    shapes = [line([(0, 0), (1, 1)], "guess")]
    shapes += [
        line([(p, float(b["low"])), (p, float(b["high"]))], "whisker") for (p, _), b in zip(points, bins, strict=True)
    ]
    shapes.append(line(points, "best thin"))
    shapes += [
        dot(
            *p,
            "accent",
            f"predicted {words.percent(p[0])}, happened {words.percent(p[1])} ({words.plural(b['rows'], 'row')})",
        )
        for p, b in zip(points, bins, strict=True)
    ]
    x, y = Axis(0, 1, SHARES, "predicted probability"), Axis(0, 1, SHARES, "how often it was so")
    about = f"reliability diagram: off by {words.percent((evidence['reliability']).get('error'))} on average"
    return chart(shapes, x, y, about=about, css="square")


def separation(evidence: dict[str, Any]) -> Markup:
    """How two kinds of rows lie along a probability: the two classes, or right and wrong ones."""
    content = evidence.get("separation")
    if not content:
        return Markup()
    names, counts = content["names"], content["counts"]
    totals = [max(1, sum(c)) for c in counts] if content.get("each") else [1] * len(counts)
    shares = [[c / total for c in side] for side, total in zip(counts, totals, strict=True)]
    most = max(max(s) for s in shares) or 1.0
    shapes = []
    for k, side in enumerate(counts):
        edges = [i / len(side) for i in range(len(side) + 1)]
        told = [
            f"{names[k]}: {words.plural(c, 'row')} between {words.percent(a)} and {words.percent(b)}"
            for c, a, b in zip(side, edges, edges[1:], strict=False)
        ]
        shapes.append(bars(edges, [s / most * 0.96 for s in shares[k]], f"side{k}", told))
    title = f"probability of {content['of']}"
    height = "share of the class's rows" if content.get("each") else "rows"
    return chart(shapes, Axis(0, 1, SHARES, title), Axis(0, 1, (), height), about=title, css="square")


# Numbers


def agreement(evidence: dict[str, Any], target: str) -> Markup:
    """Predicted against actual values."""
    content = evidence.get("agreement")
    if not content:
        return Markup()
    low, high = (float(v) for v in content["span"])
    make = log_axis if content.get("log") else axis
    x, y = make(low, high, title="predicted"), make(low, high, title=f"actual {target}")
    if content.get("points"):
        shape = dots([(x.place(float(p)), y.place(float(a))) for p, a in content["points"]], "accent small")
    else:
        shape = density(content["grid"])
    shapes = [shape, line([(0, 0), (1, 1)], "guess over")]
    about = f"predicted against actual {target}; on the diagonal the two are equal"
    return chart(shapes, x, y, about=about, css="square")


def residuals(evidence: dict[str, Any]) -> Markup:
    """Histogram of actual minus predicted."""
    content = evidence.get("residuals")
    if not content or not any(content.get("counts") or []):
        return Markup()
    counts, low, high = content["counts"], float(content["low"]), float(content["high"])
    x = axis(low, high, title="actual minus predicted")
    values = np.linspace(x.low, x.high, len(counts) + 1)
    most = max(counts)
    told = [
        f"{words.plural(c, 'row')} between {words.number(a)} and {words.number(b)}"
        for c, a, b in zip(counts, values, values[1:], strict=False)
    ]
    shapes = [bars([x.place(v) for v in values], [c / most * 0.96 for c in counts], "accent-fill", told)]
    if x.low < 0 < x.high:
        shapes.append(line([(x.place(0), 0), (x.place(0), 1)], "guess over"))
    return chart(shapes, x, Axis(0, 1, (), "rows"), about="histogram of the errors", css="square")
