"""What the outer loop trains the process on: parts of tasks, some trials known and others to be foretold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from autometa.adaptation import Tasks
from autometa.policies.meta_features import Reader
from autometa.policies.process_network import Episode
from autometa.policies.tokens import tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from autometa.records.prior_tasks import PriorTasks, Scaling

GOOD = 0.5  # share of the known trials that lean towards the good configs, as those of a search do


@dataclass(frozen=True, eq=False)
class Episodes:
    """Draws batches of episodes, each batch from one space.

    Attributes:
        sources: prior tasks, each on one pool.
        reader: of meta-features.
        scaling: of the losses.
        batch: T, tasks in a batch.
        most: trials known at most; how many are is drawn evenly on a logarithmic scale, with none now and then.
        asked: configs to foretell.
    """

    sources: Sequence[PriorTasks]
    reader: Reader
    scaling: Scaling = "min_max"
    batch: int = 16
    most: int = 40
    asked: int = 32
    shares: tuple[float, ...] = field(default=())

    def draw(self, generator: torch.Generator) -> Tasks:
        """A batch: support sets are the known trials alone, query sets the same with others to foretell."""
        rng = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
        chosen = int(rng.choice(len(self.sources), p=self._shares))
        return self.of(chosen, rng)

    def of(self, number: int, rng: np.random.Generator) -> Tasks:
        """A batch of one of the sources."""
        table, known = self._tables[number]
        rows = rng.integers(len(table), size=self.batch)
        width = min(self.most + self.asked, table.shape[1])
        picks, given = [], np.zeros((self.batch, width), np.float32)
        asked = np.zeros((self.batch, width), np.float32)
        for i, row in enumerate(rows):
            picks.append(_picks(table[row], known[row], width, rng))
            n = min(_history(self.most, rng), max(width - 2, 0))
            usable = known[row][picks[-1]].astype(np.float32)
            given[i, :n] = usable[:n]
            asked[i, n : n + self.asked] = usable[n : n + self.asked]
        places = np.stack(picks)
        return self._tasks(number, rows, places, given, asked)

    def _tasks(
        self,
        number: int,
        rows: NDArray[np.intp],
        places: NDArray[np.intp],
        given: NDArray[np.float32],
        asked: NDArray[np.float32],
    ) -> Tasks:
        space, read, there, features = self._encoded[number]
        losses = np.take_along_axis(self._tables[number][0][rows], places, axis=1).astype(np.float32)
        at = torch.from_numpy(places)
        query = Episode(
            space.expand(len(rows), *space.shape),
            read[at],
            there[at],
            at,
            torch.from_numpy(losses),
            torch.from_numpy(given),
            torch.from_numpy(asked),
            features[torch.from_numpy(rows)],
        )
        return Tasks(query._replace(given=torch.zeros_like(query.given), asked=query.given), query)

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        weights = np.array(self.shares or [math.sqrt(len(s)) for s in self.sources])
        return np.asarray(weights / weights.sum())

    @cached_property
    def _tables(self) -> list[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        return [(s.scaled(self.scaling), ~np.isnan(s.losses)) for s in self.sources]

    @cached_property
    def _encoded(self) -> list[tuple[Tensor, ...]]:
        found = []
        for source in self.sources:
            read = tokens(source.pool)
            packed, there = read.packed()
            parts = (read.space.mean(axis=0), packed, there, self.reader.read_all(source.features, len(source)))
            found.append(tuple(torch.from_numpy(part) for part in parts))
        return found


def _history(most: int, rng: np.random.Generator) -> int:
    return int(math.exp(rng.uniform(0.0, math.log(most + 1.0)))) if rng.random() < 0.9 else 0


def _picks(
    losses: NDArray[np.float64], known: NDArray[np.bool_], width: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Distinct places, the known ones first; some histories lean towards low losses (Gumbel top-k), some do not."""
    lean = rng.exponential(6.0) if rng.random() < GOOD else 0.0
    score = -lean * losses + rng.gumbel(size=len(losses))
    order = np.argsort(np.where(known, -score, np.inf), kind="stable")[:width]
    # What is to be foretold must not be the worse half of a sorted list: deal known and asked ones by chance.
    return np.asarray(rng.permutation(order), np.intp)
