"""Networks for tables: residual or plain blocks, alone or as an ensemble inside one network.

Gorishniy et al. 2021, "Revisiting deep learning models for tabular data" (ResNet); Gorishniy et al.
2024, "TabM: advancing tabular deep learning with parameter-efficient ensembling".
Letters: B rows, m members (1 for a plain network), w width, k outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from autometa.architectures.dropout import MaskPool, PooledDropout
from autometa.architectures.embeddings import PeriodicEmbedding


@dataclass(frozen=True)
class Shape:
    """What a network looks like.

    Attributes:
        inputs: columns of a row.
        outputs: k.
        blocks: hidden blocks after the first layer.
        width: w.
        residual: whether a block adds to its input.
        activation: between the layers.
        normalisation: before the layers of a residual block, after the layer of a plain one.
        dropout: share of a block's units that is left out in training.
        members: m; 1 for a plain network.
        periodic: leading columns that enter through periodic features; 0 for none.
        periodic_size: features made of each of them.
        periodic_scale: standard deviation of their initial frequencies.
    """

    inputs: int
    outputs: int
    blocks: int
    width: int
    residual: bool
    activation: Literal["relu", "silu", "mish", "selu"]
    normalisation: Literal["none", "layer", "batch"]
    dropout: float
    members: int = 1
    periodic: int = 0
    periodic_size: int = 8
    periodic_scale: float = 0.1


_ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "mish": nn.Mish, "selu": nn.SELU}


class MemberLinear(nn.Module):
    """One weight matrix for all members, and for each its own scale of the inputs and outputs, and bias.

    BatchEnsemble (Wen et al. 2020) as TabM starts it: random signs before the first layer, ones elsewhere.
    """

    def __init__(self, inputs: int, outputs: int, members: int, *, first: bool = False) -> None:
        super().__init__()
        shared = nn.Linear(inputs, outputs)
        self.weight = shared.weight
        self.bias = nn.Parameter(shared.bias.detach().expand(members, 1, outputs).clone())
        signs = torch.randint(0, 2, (members, 1, inputs)).float() * 2 - 1
        self.before = nn.Parameter(signs if first else torch.ones(members, 1, inputs))
        self.after = nn.Parameter(torch.ones(members, 1, outputs))

    def forward(self, rows: Tensor) -> Tensor:
        """(m, B, inputs) to (m, B, outputs)."""
        return torch.addcmul(self.bias, functional.linear(rows * self.before, self.weight), self.after)


class MemberHead(nn.Module):
    """A last layer of its own for each member."""

    def __init__(self, inputs: int, outputs: int, members: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(bound * (2 * torch.rand(members, inputs, outputs) - 1))
        self.bias = nn.Parameter(bound * (2 * torch.rand(members, 1, outputs) - 1))

    def forward(self, rows: Tensor) -> Tensor:
        """(m, B, inputs) to (m, B, outputs)."""
        return torch.baddbmm(self.bias, rows, self.weight)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over rows and members."""

    def forward(self, rows: Tensor) -> Tensor:
        """(..., w) to (..., w)."""
        return super().forward(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape)


class ResidualBlock(nn.Module):
    """Normalise, layer, activation, dropout, layer, and add."""

    def __init__(self, shape: Shape, pool: MaskPool) -> None:
        super().__init__()
        self.steps = nn.Sequential(
            _normalisation(shape),
            _layer(shape.width, shape.width, shape.members),
            _ACTIVATIONS[shape.activation](),
            PooledDropout(shape.dropout, pool),
            _layer(shape.width, shape.width, shape.members),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """(..., w) to (..., w)."""
        return rows + self.steps(rows)  # type: ignore[no-any-return]


class TabularNetwork(nn.Module):
    """Rows to scores of the classes, or to values."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        pool = MaskPool()
        self.periodic = (
            PeriodicEmbedding(shape.periodic, shape.periodic_size, shape.periodic_scale) if shape.periodic else None
        )
        inputs = shape.inputs + shape.periodic * (shape.periodic_size - 1)
        members, width = shape.members, shape.width
        first = MemberLinear(inputs, width, members, first=True) if members > 1 else nn.Linear(inputs, width)
        layers: list[nn.Module] = [first]
        if shape.residual:
            layers += [ResidualBlock(shape, pool) for _ in range(shape.blocks)]
            layers += [_normalisation(shape), _ACTIVATIONS[shape.activation]()]
        else:
            for i in range(shape.blocks):
                layers += [_layer(width, width, members)] if i else []
                layers += [_normalisation(shape), _ACTIVATIONS[shape.activation](), PooledDropout(shape.dropout, pool)]
        self.body = nn.Sequential(*layers)
        self.head = MemberHead(width, shape.outputs, members) if members > 1 else nn.Linear(width, shape.outputs)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, inputs) to (m, B, k)."""
        if self.periodic is not None:
            columns = self.shape.periodic
            rows = torch.cat([self.periodic(rows[:, :columns]), rows[:, columns:]], dim=1)
        if self.shape.members > 1:
            return self.head(self.body(rows))  # type: ignore[no-any-return]
        return self.head(self.body(rows))[None]  # type: ignore[no-any-return]


def _layer(inputs: int, outputs: int, members: int) -> nn.Module:
    return MemberLinear(inputs, outputs, members) if members > 1 else nn.Linear(inputs, outputs)


def _normalisation(shape: Shape) -> nn.Module:
    if shape.normalisation == "layer":
        return nn.LayerNorm(shape.width)
    return BatchNorm(shape.width) if shape.normalisation == "batch" else nn.Identity()
