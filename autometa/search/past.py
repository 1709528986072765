"""What a search with the learned policy knows before its first trial."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from autometa.policies.learned import LearnedPolicy
from autometa.policies.past_tasks import PastTask, PastTasks
from autometa.records.collection import Collection as Recorded
from autometa.records.personal import personal_tasks
from autometa.records.prior_tasks import PriorTasks
from autometa.space import shipped_data

if TYPE_CHECKING:
    from autometa.space import Space
    from autometa.task import Task

FEWEST_OF_KIND = 20  # shipped tasks of one kind of target from which on the other kinds are left out


def own_past(
    space: Space, *, names: Collection[str] | None = None, say: Callable[[str], None] = lambda _: None
) -> tuple[Task, ...]:
    """The user's own past tasks on a space.

    Args:
        space: of the search.
        names: of those that count, so that a run that is resumed knows what it knew; None for all there are.
        say: is told of a collection that cannot be read.
    """
    if names is not None and not names:
        return ()  # nothing is read where nothing counts
    found = personal_tasks(space, say=say)
    return found if names is None else tuple(t for t in found if t.name in names)


def learned_policy(own: Collection[Task], *, kind: str) -> LearnedPolicy:
    """The learned policy for tables, with the shipped tasks and the user's own.

    Args:
        own: the user's tasks.
        kind: of the target; losses of another kind are in other units.
    """
    shipped = Recorded.load(shipped_data("meta_datasets") / "tabular")
    alike = [i for i in range(len(shipped.names)) if shipped.features(i).get("kind") == kind]
    recorded = PriorTasks.of(shipped, alike if len(alike) >= FEWEST_OF_KIND else None)
    from autometa.policies.learned_process import LearnedProcess  # late: it brings in torch

    return LearnedPolicy(PastTasks(recorded, tuple(PastTask.of(t) for t in own)), process=LearnedProcess.shipped())
