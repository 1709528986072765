"""Dropout whose masks are cut from a pool: drawing them anew costs more than the layers around them."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn

POOL = 2**20


class MaskPool:
    """Masks for the dropout layers of one network; all it draws comes from torch's current generator."""

    def __init__(self) -> None:
        self._masks: dict[float, Tensor] = {}
        self._places = random.Random(int(torch.randint(2**31, (1,), device="cpu")))

    def mask(self, like: Tensor, share: float) -> Tensor:
        """0 for the share that is left out, 1 / (1 - share) elsewhere; of the given tensor's shape."""
        size = like.numel()
        pool = self._masks.get(share)
        if pool is None or len(pool) < 2 * size:
            # Drawn on the CPU, so that the masks are the same wherever the network is.
            pool = ((torch.rand(max(POOL, 4 * size)) >= share).float() / (1 - share)).to(like.device)
            self._masks[share] = pool
        start = 16 * self._places.randrange((len(pool) - size) // 16 + 1)
        return pool[start : start + size].view(like.shape)


class PooledDropout(nn.Module):
    """Dropout in training, nothing otherwise."""

    def __init__(self, share: float, pool: MaskPool) -> None:
        super().__init__()
        self.share = share
        self.pool = pool

    def forward(self, rows: Tensor) -> Tensor:
        """Any shape to the same."""
        if not self.training or self.share <= 0:
            return rows
        return rows * self.pool.mask(rows, self.share)
