"""What a policy learns from before the first trial: finished studies and recorded tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import optuna

from autometa.errors import InputError
from autometa.integrations.studies import task_of
from autometa.policies.learned import LearnedPolicy
from autometa.policies.learned_process import LearnedProcess
from autometa.task import Policy, Task

Source: TypeAlias = optuna.Study | Task


@runtime_checkable
class Trusting(Protocol):
    """A policy that can say how much it trusts each of its source tasks."""

    def trust(self, task: Task) -> Mapping[str, float]:
        """The weight of each source by name, given the trials of the task so far."""
        ...


def policy_for(sources: Sequence[Task], checkpoint: Path | None) -> Policy:
    """Who decides; the one place that knows which policy that is."""
    process = LearnedProcess.shipped() if checkpoint is None else LearnedProcess.load(checkpoint)
    return LearnedPolicy(sources, process=process)


def tasks_of(sources: Sequence[Source]) -> tuple[Task, ...]:
    """Past studies and tasks as tasks that can be learned from.

    Raises:
        InputError: one is neither a study nor a task, has no complete trial, or shares its name with another.
    """
    if isinstance(sources, str | Mapping | optuna.Study | Task):
        raise InputError(
            f"sources must be a list of studies and tasks; got {type(sources).__name__}: "
            "write [it], or list(it.values()) of a mapping"
        )
    tasks: dict[str, Task] = {}
    for place, source in enumerate(sources):
        if not isinstance(source, optuna.Study | Task):
            raise InputError(
                f"a source must be an optuna.Study or an autometa.Task; sources[{place}] is {source!r}: "
                "load studies with optuna.load_study, recorded tasks with autometa.Collection.load(...).tasks.values()"
            )
        task = source if isinstance(source, Task) else task_of(source)
        if not any(t.state == "complete" and math.isfinite(t.loss) for t in task.history):
            raise InputError(
                f"a source must hold a complete trial; {task.name!r} has {len(task.history)} trials and none is "
                "complete: leave it out"
            )
        if task.name in tasks:
            raise InputError(
                f"the sources must have different names; {task.name!r} is there twice: "
                "name one with autometa.task_of(study, name=...)"
            )
        tasks[task.name] = task
    return tuple(tasks.values())
