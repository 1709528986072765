"""The network of the Omniglot example: four convolutions over a dict of tensors, and a linear head.

Normalisation is by the statistics of the images that are passed together, so what is passed together matters.

Shapes: n images, w classes, F features.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from autometa.adaptation import Params, batch_norm

BLOCKS = 4
# One outer step of MAML on 16 tasks, one thread: vmap's grouped convolutions 150 ms with 32 channels and 320 with 64;
# unfold and products 240 and 680, sums of strided slices 300 and 520, a task at a time 360 and 510. At equal time 64
# channels on 8 tasks validate better than 32 on 16.
CHANNELS = 64
FEATURES = 4 * CHANNELS  # 28 pixels become 14, 7, 4 and 2 of a side


def start(outputs: int, seed: int) -> Params:
    """Parameters before any learning; ``body.I.*`` for I in 0..3, ``head.weight`` (F, outputs) and ``head.bias``."""
    generator = torch.Generator().manual_seed(seed)
    params, entering = {}, 1
    for block in range(BLOCKS):
        weight = torch.randn(CHANNELS, entering, 3, 3, generator=generator)
        params[f"body.{block}.weight"] = weight * (2 / (9 * entering)) ** 0.5
        params[f"body.{block}.scale"] = torch.ones(CHANNELS)
        params[f"body.{block}.shift"] = torch.zeros(CHANNELS)
        entering = CHANNELS
    params["head.weight"] = 0.01 * torch.randn(FEATURES, outputs, generator=generator)
    params["head.bias"] = torch.zeros(outputs)
    return params


def features(params: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Images (n, 28, 28) to features (n, F)."""
    x = images[:, None]
    for block in range(BLOCKS):
        x = functional.conv2d(x, params[f"body.{block}.weight"], stride=2, padding=1)
        scale, shift = params[f"body.{block}.scale"], params[f"body.{block}.shift"]
        x = torch.relu(batch_norm(x, scale, shift))
    return x.flatten(1)


def head(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Features (n, F) to logits (n, w)."""
    return x @ params["head.weight"] + params["head.bias"]


def cross_entropy(params: Mapping[str, Tensor], data: tuple[Tensor, Tensor]) -> Tensor:
    """Mean loss on images (n, 28, 28) with labels (n,)."""
    images, labels = data
    return functional.cross_entropy(head(params, features(params, images)), labels)
