"""What was noticed about a table: named warnings, and how messages list names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Finding:
    """A named warning, shown on stderr and in the report.

    Attributes:
        code: a stable slug, such as "leak" or "dropped-id".
        message: what was found and what was done about it, for the user.
        columns: the columns it is about, () if it is about rows.
    """

    code: str
    message: str
    columns: tuple[str, ...] = ()


def listed(names: Iterable[object], *, limit: int = 5) -> str:
    """Names for a message: the first few quoted, the rest counted."""
    quoted = [repr(str(name)) for name in names]
    shown = ", ".join(quoted[:limit])
    return shown if len(quoted) <= limit else f"{shown} and {len(quoted) - limit} more"


def nearest(name: str, names: Sequence[str], *, limit: int = 3) -> str:
    """The present names that a mistyped one may have meant, for a message."""
    by_lower = {other.lower(): other for other in reversed(names)}
    close = get_close_matches(name.lower(), list(by_lower), n=limit, cutoff=0.5)
    if close:
        return f"the nearest are {listed(by_lower[other] for other in close)}"
    return f"there are {listed(names)}" if names else "there are none"
