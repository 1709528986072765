"""The residual network of the plain recipe: two blocks of LayerNorm and SiLU, AdamW, early stopping."""

import copy
import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Array = np.ndarray[Any, Any]
EPOCHS, PATIENCE, RATE, DECAY = 100, 12, 2e-3, 1e-2


class Periodic(nn.Module):
    """Sines and cosines of the first ``numbers`` columns at learned frequencies, beside all columns."""

    def __init__(self, numbers: int, frequencies: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.frequency = nn.Parameter(0.3 * torch.randn(numbers, frequencies))

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (B, f) to (B, f + 2 * numbers * frequencies)."""
        angles = 2 * math.pi * rows[:, : self.numbers, None] * self.frequency
        return torch.cat([rows, angles.sin().flatten(1), angles.cos().flatten(1)], dim=1)


class Block(nn.Module):
    """A residual block."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.step = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (B, width) to (B, width)."""
        return rows + self.step(rows)


def fit(
    tables: tuple[Array, Array, Array],
    targets: tuple[Array, Array],
    numbers: int,
    classes: int,
    seed: int,
    stop: float,
    *,
    width: int = 256,
    dropout: float = 0.1,
    frequencies: int = 0,
) -> tuple[Array, Array]:
    """Train on the first table, stop early on the second, predict the second and the third.

    Args:
        tables: training, validation and test rows (r, f), the ``numbers`` numeric columns first.
        targets: of the training and validation rows, class numbers or floats.
        numbers: how many leading columns are numbers (they get the periodic embedding).
        classes: number of classes, 0 for regression.
        seed: of the start parameters and the batches.
        stop: clock time at which training ends.
        width: of the hidden layers.
        dropout: inside each block.
        frequencies: of the periodic embedding, 0 for none.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    train, valid, test = (torch.from_numpy(np.ascontiguousarray(rows)) for rows in tables)
    mean, scale = (0.0, 1.0) if classes else (targets[0].mean(), targets[0].std() or 1.0)
    kind = np.int64 if classes else np.float32
    train_target, valid_target = (torch.from_numpy(((y - mean) / scale).astype(kind)) for y in targets)
    embed = frequencies if numbers else 0
    model = nn.Sequential(
        *([Periodic(numbers, embed)] if embed else []),
        nn.Linear(train.shape[1] + 2 * numbers * embed, width),
        Block(width, dropout),
        Block(width, dropout),
        nn.LayerNorm(width),
        nn.SiLU(),
        nn.Linear(width, classes or 1),
    )

    def loss(rows: Tensor, target: Tensor) -> Tensor:
        found = model(rows)
        return functional.cross_entropy(found, target) if classes else functional.mse_loss(found[:, 0], target)

    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    batch = min(256, max(32, len(train) // 20))
    best, kept, waited = math.inf, copy.deepcopy(model.state_dict()), 0
    for _ in range(EPOCHS):
        model.train()
        for rows in torch.randperm(len(train)).split(batch):
            optimizer.zero_grad()
            loss(train[rows], train_target[rows]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            now = loss(valid, valid_target).item()
        if now < best:
            best, kept, waited = now, copy.deepcopy(model.state_dict()), 0
        else:
            waited += 1
        if waited >= PATIENCE or time.time() > stop:
            break
    model.load_state_dict(kept)
    model.eval()
    with torch.no_grad():
        found = [model(rows) for rows in (valid, test)]
    if classes:
        return found[0].softmax(1).numpy(), found[1].softmax(1).numpy()
    return found[0][:, 0].numpy() * scale + mean, found[1][:, 0].numpy() * scale + mean
