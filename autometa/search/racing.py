"""When a config has shown enough to be stopped, and what it costs to go on.

Losses are compared on the same folds only. A config is judged by its skill: 0 for a constant
prediction, 1 for the best config on these folds. The first config of an algorithm may be a good deal
worse than the best and still earn its place in the ensemble; its siblings have to keep up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autometa.search.records import TrialRecord

ENOUGH_OTHERS = 4
ENOUGH_ROWS = 100  # validation rows below which a fold says too little to stop anything
FIRST_OF_ITS_KIND = 0.5
SIBLING = 0.9


def hopeless(
    record: TrialRecord,
    others: Sequence[TrialRecord],
    *,
    constant: Sequence[float],
    rows_per_fold: int,
) -> str:
    """The reason to stop a running trial, or "" to let it go on.

    Args:
        record: with at least its first fold done.
        others: the trials that it may be compared with.
        constant: loss of a constant prediction on each fold.
        rows_per_fold: validation rows of a fold.
    """
    depth = record.depth
    if depth == 0 or depth >= record.first_folds or depth * rows_per_fold < ENOUGH_ROWS:
        return ""
    losses = [(o.mean_loss(depth), o.algorithm) for o in others if o.depth >= depth]
    known = [(x, a) for x, a in losses if not math.isnan(x)]
    if len(known) < ENOUGH_OTHERS:
        return ""
    best = min(x for x, _ in known)
    floor = sum(constant[:depth]) / depth
    mine = record.mean_loss(depth)
    if math.isnan(mine) or not floor > best:
        return ""
    skill = (floor - mine) / (floor - best)
    siblings = [x for x, a in known if a == record.algorithm]
    bar = SIBLING if siblings and min(siblings) < mine else FIRST_OF_ITS_KIND
    better = sum(x < mine for x, _ in known)
    if skill >= bar or better < len(known) / 2:
        return ""
    return f"stopped after {depth} of {record.first_folds} folds: skill {skill:.2f} of the best, below {bar}"
