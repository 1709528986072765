"""The file of a searcher's state: JSON, whole or not there, and of the search that goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autometa.errors import InputError, RunError
from autometa.tables.whole_files import write_whole

FORMAT = 1


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state; whoever reads meanwhile sees the old one or the new one."""
    write_whole(path, json.dumps({"format": FORMAT, **state}, allow_nan=False))


def read_state(path: Path) -> dict[str, Any]:
    """Read what :func:`write_state` wrote.

    Raises:
        RunError: the file cannot be read, or is of another kind or format.
    """
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        form = state["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"a searcher goes on from a file that one has saved; {path} is none ({error!r}): give the path of one"
        ) from error
    if form != FORMAT:
        raise RunError(f"{path} has format {form}, this autometa reads format {FORMAT}: use the one that wrote it")
    return state


def hold_to(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """See that a search goes on as it began.

    Args:
        saved: the state.
        own: what the searcher knows beforehand; None is nothing.

    Raises:
        InputError: they differ.
    """
    for what, value in json.loads(json.dumps(own)).items():
        if value is not None and value != saved[what]:
            raise InputError(
                f"a search goes on with the {what} that it began with; it began with {saved[what]!r}, "
                f"this searcher has {value!r}: make the searcher as it was"
            )
