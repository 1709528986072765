"""What the data looked like, column by column."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from autometa.search.report import words
from autometa.search.report.charts import spark_bars
from autometa.search.report.reading import Run

TOP = 20  # columns before the fold-out
MOST_COLUMNS = 300


def data(run: Run) -> dict[str, Any] | None:
    """What the columns looked like."""
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
