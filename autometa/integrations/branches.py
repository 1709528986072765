"""The part of a conditional space that is left when some parameters are fixed."""

from __future__ import annotations

from dataclasses import replace

from autometa.parameters import Categorical
from autometa.space import Config
from autometa.task import Task


def within(task: Task, fixed: Config) -> Task:
    """The task of the branches in which fixed parameters are active and have their values.

    Parameters that others depend on keep only the choices that are left to them; the ranges of others stay.

    Args:
        task: whose history is cut down to these branches.
        fixed: values by name.
    """
    wanted = dict.fromkeys(p.when[0] for p in task.space if p.when is not None)
    for parent in wanted:
        if parent in fixed and parent in task.space:
            task = _narrowed(task, parent, (fixed[parent],))
    for name in fixed:
        while name in task.space and (when := task.space[name].when) is not None:
            task = _narrowed(task, *when)
            name = when[0]  # noqa: PLW2901 (up the tree)
    return task


def _narrowed(task: Task, parent: str, choices: tuple[object, ...]) -> Task:
    p = task.space[parent]
    assert isinstance(p, Categorical)
    kept = [c for c in p.choices if any(type(c) is type(one) and c == one for one in choices)]
    space = task.space.restrict({parent: {"choices": kept}})
    return replace(task, space=space, history=tuple(t for t in task.history if space.has(t.config)))
