"""What this user's searches have left to learn from: where it stands, and how the next search reads it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from autometa.errors import AutometaError
from autometa.records.card import Card
from autometa.records.lessons import Lesson, learn_into
from autometa.records.own_files import CARD, read_own, space_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from autometa.space import Space
    from autometa.task import Task

HOME, LEARN = "AUTOMETA_HOME", "AUTOMETA_LEARN"
MOST = 200  # tasks that are kept of one space: reading them must stay a matter of a second


def home() -> Path:
    """The user's folder of autometa: $AUTOMETA_HOME, else `autometa` in the place for a program's data."""
    if os.environ.get(HOME):
        return Path(os.environ[HOME]).expanduser().absolute()
    if os.environ.get("XDG_DATA_HOME"):
        return Path(os.environ["XDG_DATA_HOME"]).expanduser().absolute() / "autometa"
    usual = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    return Path.home() / usual / "autometa"


def personal_folder() -> Path:
    """Where the user's own tasks are: a folder of collections, one for each space; it need not be there."""
    return home() / "tasks"


def learning() -> bool:
    """Whether the environment lets searches add to it: AUTOMETA_LEARN is not 0."""
    return os.environ.get(LEARN) != "0"


def keep(lessons: list[Lesson]) -> dict[Path, int]:
    """Add lessons to the user's own tasks, of which the newest are kept; how many each collection has now.

    Raises:
        AutometaError: see :func:`autometa.records.lessons.learn_into`.
    """
    return learn_into(personal_folder(), lessons, most=MOST)


def personal_tasks(space: Space, *, say: Callable[[str], None] = lambda _: None) -> tuple[Task, ...]:
    """The user's own past tasks as they are on a space, the newest last: features, and trials that the space has.

    Args:
        space: of the search; tasks of spaces that lack one of its hyperparameters are left out.
        say: is told of a collection that cannot be read, which counts as none.
    """
    names = {p.name for p in space}
    found: list[Task] = []
    for card in sorted(personal_folder().glob(f"*/{CARD}")):
        try:
            if names <= {p.name for p in space_of(card.parent, Card.read(card)[0])}:
                found += read_own(card.parent).tasks_on(space)
        except AutometaError as error:
            say(f"your own tasks in {card.parent} are left out ({error}); remove the folder to begin anew")
    return tuple(found)
