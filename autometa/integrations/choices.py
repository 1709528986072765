"""Names for choices of any kind, the same in each process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from autometa.parameters import Value


def named(choices: Sequence[Any]) -> list[tuple[Value, Any]]:
    """Different choices with what they are called; one that is there twice is named once.

    What a space can hold is its own name, other plain data goes by its ``repr``, and the rest by its kind and place.
    """
    found: dict[Value, Any] = {}
    for place, choice in enumerate(choices):
        called = _name(choice, place)
        if any(called == other and type(called) is not type(other) for other in found):
            called = repr(called)  # True and 1 are equal in Python and different choices
        found.setdefault(called, choice)
    return list(found.items())


def _name(choice: Any, place: int) -> Value:
    if type(choice) in (str, bool, int, float) and choice == choice:  # noqa: PLR0124 (NaN is not)
        name: Value = choice
        return name
    try:
        json.dumps(choice)
    except (TypeError, ValueError):
        return f"{getattr(choice, '__qualname__', type(choice).__name__)} {place}"
    return repr(choice)
