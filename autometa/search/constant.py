"""What a prediction that looks at no column loses: the zero that skill is measured from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from autometa.tables.metrics import Metric
    from autometa.tables.splits import Folds
    from autometa.tables.table import Table


def constant_losses(table: Table, folds: Folds, metric: Metric, n: int) -> list[float]:
    """Loss of predicting the mean, or the class shares, of the training part of each of the first n folds.

    Folds where it is undefined are left out.
    """
    losses = []
    for fold in range(n):
        train, valid = folds.pair(fold)
        target = table.target
        if table.classes:
            shares = np.bincount(target[train], minlength=len(table.classes)) / len(train)
            constant = np.tile(shares, (len(valid), 1))
        else:
            constant = np.full((len(valid), 1), target[train].mean())
        losses.append(metric.loss(target[valid], constant))
    return [x for x in losses if not math.isnan(x)]
