"""The meta-trained process by itself: what it is worth without anything that stands beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autometa.errors import InputError
from autometa.policies.experts import Parts
from autometa.policies.learned import LearnedPolicy

if TYPE_CHECKING:
    from autometa.policies.learned_process import LearnedProcess

ALONE = Parts(copies=False, shared=False, cold=False)


def learned_alone(process: LearnedProcess | None) -> LearnedPolicy:
    """The process alone: it knows no prior task, and nothing else does.

    Raises:
        InputError: there is no process.
    """
    if process is None:
        raise InputError(
            "learned_alone is a meta-trained process; none was given, and none is shipped with this autometa: give "
            "--checkpoint with one of `autometa meta-train`, or leave it out"
        )
    return LearnedPolicy(process=process, parts=ALONE)
