"""What the page shows: the contents of a run, worded and ordered for the template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autometa.search.report import behaviour, columns, opening, trials
from autometa.search.report.reading import Run


def page(run: Run) -> dict[str, Any]:
    """Everything the template asks for; a part that cannot be made is left out and named."""
    context: dict[str, Any] = {"problems": [f"{name} could not be read" for name in run.unread]}
    parts: dict[str, Callable[[Run], Any]] = {
        "hero": opening.hero,
        "tiles": opening.tiles,
        "findings": opening.findings,
        "progress": trials.progress,
        "ensemble": trials.ensemble,
        "board": trials.board,
        "classes": behaviour.classes,
        "numbers": behaviour.numbers,
        "probabilities": behaviour.probabilities,
        "importance": behaviour.importance,
        "data": columns.data,
        "use": opening.use,
        "settings": opening.settings,
    }
    for name, make in parts.items():
        try:
            context[name] = make(run)
        # Files of another version must not cost the reader the parts that can be shown.
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
            context[name] = None
            context["problems"].append(f"the part “{name}” could not be drawn ({type(error).__name__}: {error})")
    return context
