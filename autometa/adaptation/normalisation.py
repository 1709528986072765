"""Normalisation whose second derivative can be trusted under vmap.

In PyTorch 2.13 the second derivatives of ``batch_norm``, ``instance_norm`` and ``layer_norm`` are wrong, with no
warning, under ``torch.func.vmap`` where scale and shift differ from task to task, as they do once they were adapted.
Without scale and shift they are right, so the two are put on afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def batch_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalise x (n, C, ...) by the statistics of its n items, with scale and shift (C,)."""
    rest = (1,) * (x.dim() - 2)
    normal = functional.batch_norm(x, None, None, training=True)
    return normal * scale.reshape(-1, *rest) + shift.reshape(-1, *rest)


def layer_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalise x (..., *p) over its last axes, with scale and shift (*p)."""
    shape: Sequence[int] = scale.shape
    return functional.layer_norm(x, list(shape)) * scale + shift
