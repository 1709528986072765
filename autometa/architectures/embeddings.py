"""How numbers enter a network: through periodic features or quantile bins.

Gorishniy et al. 2022, "On embeddings for numerical features in tabular deep learning".
Letters: B rows, f number columns, d features made of each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

FREQUENCIES = 16


class PeriodicEmbedding(nn.Module):
    """Each number beside d - 1 learned mixtures of cosines of it, columns apart.

    The PBLD embedding of RealMLP (Holzmüller et al. 2024): periodic, bias, linear, and the number itself.

    Args:
        columns: f.
        size: d.
        scale: standard deviation of the initial frequencies.
    """

    def __init__(self, columns: int, size: int, scale: float) -> None:
        super().__init__()
        self.frequency = nn.Parameter(scale * torch.randn(columns, FREQUENCIES))
        self.phase = nn.Parameter(math.pi * (2 * torch.rand(columns, FREQUENCIES) - 1))
        bound = FREQUENCIES**-0.5
        self.weight = nn.Parameter(bound * (2 * torch.rand(columns, FREQUENCIES, size - 1) - 1))
        self.bias = nn.Parameter(bound * (2 * torch.rand(columns, 1, size - 1) - 1))

    def forward(self, numbers: Tensor) -> Tensor:
        """(B, f) to (B, f * d)."""
        angles = 2 * math.pi * numbers.t()[:, :, None] * self.frequency[:, None] + self.phase[:, None]
        mixed = torch.baddbmm(self.bias, angles.cos(), self.weight)
        return torch.cat([numbers, mixed.transpose(0, 1).flatten(1)], dim=1)


@dataclass(frozen=True)
class QuantileBins:
    """Piecewise linear encoding: how far a number has come through each of d bins.

    It has no learned part, so rows are encoded once, before the training.

    Attributes:
        edges: rising, shape (f, d + 1); equal neighbours make an empty bin, which is always 0.
    """

    edges: NDArray[np.float32]

    @classmethod
    def fit(cls, numbers: NDArray[np.float32], size: int) -> QuantileBins:
        """Edges at quantiles of the training rows (n, f)."""
        edges = np.quantile(numbers, np.linspace(0, 1, size + 1), axis=0).T
        return cls(np.ascontiguousarray(edges, np.float32))

    @property
    def added(self) -> int:
        """Columns that the encoding has more than the numbers, which stay beside it."""
        return int(self.edges.shape[0] * (self.edges.shape[1] - 1))

    def encode(self, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, f) to (n, f * d)."""
        left, right = self.edges[:, :-1], self.edges[:, 1:]
        wide = right > left
        share = (numbers[:, :, None] - left) / np.where(wide, right - left, 1)
        # Beyond the ends a number stays at them.
        return (np.clip(share, 0, 1) * wide).reshape(len(numbers), -1).astype(np.float32)
