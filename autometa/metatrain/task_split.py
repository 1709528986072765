"""Recorded tasks of many collections dealt by dataset: some to learn from, some to validate on, some left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from autometa.errors import InputError
from autometa.records.groups import Joined, groups

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from autometa.records.collection import Collection

VALIDATION = "meta_valid"  # the split whose tables are reported on: nothing learns from them
SHARE = 0.15  # of the tasks, to validate on
OVERLAP = "overlap.csv"
COLUMNS = ("collection", "task_id", "table", "table_split")


class Twin(NamedTuple):
    """A recorded task that is about the same data as a table.

    Attributes:
        collection, task: which recorded task.
        table: name of the table.
        split: of the table.
    """

    collection: str
    task: str
    table: str
    split: str


def read_twins(folders: Sequence[Path]) -> list[Twin]:
    """What stands in ``overlap.csv`` in one of the folders, or in a folder that one or two levels up holds it.

    Raises:
        InputError: it lacks a column.
    """
    files = {up / OVERLAP for folder in folders for up in (folder.resolve(), *folder.resolve().parents[:2])}
    found = []
    for file in sorted(f for f in files if f.is_file()):
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        if set(COLUMNS) - set(frame.columns):
            raise InputError(f"{OVERLAP} has the columns {', '.join(COLUMNS)}; {file} has {', '.join(frame.columns)}")
        found += [Twin(*row) for row in frame[list(COLUMNS)].itertuples(index=False)]
    return found


@dataclass(frozen=True, eq=False)
class Split:
    """Numbers of the tasks of each of some collections.

    Attributes:
        learn, validate: of each collection, any number of them.
        excluded: how many tasks are in neither, of each collection.
    """

    learn: tuple[NDArray[np.intp], ...]
    validate: tuple[NDArray[np.intp], ...]
    excluded: tuple[int, ...]

    @classmethod
    def deal(
        cls, collections: Sequence[Collection], *, exclude: Sequence[str] = (), twins: Sequence[Twin] = (), seed: int
    ) -> Split:
        """Deal whole groups: families, near-duplicates and twins are in one part, whichever collections they are in.

        Args:
            collections: recorded tasks.
            exclude: names of tasks, datasets, families or tables that are left out with all of their groups.
            twins: recorded tasks that are about the same data as tables.
            seed: of the deal.

        Raises:
            InputError: nothing is left to learn from, or to validate on.
        """
        group, left_out = _groups(collections, frozenset(map(_word, exclude)), twins)
        of = np.repeat(np.arange(len(collections)), [len(c.names) for c in collections])
        kept = ~left_out[group]
        labels = np.unique(group[kept])
        if len(labels) < 2:
            raise InputError(
                "meta-training needs tasks of two datasets or more, some to learn from and some to validate on; "
                f"{len(labels)} of {len(left_out)} {'is' if len(labels) == 1 else 'are'} left after those of --exclude "
                f"and of the split {VALIDATION}: give more --data, or exclude less"
            )
        held = np.zeros(len(left_out), np.bool_)
        room = max(SHARE * kept.sum(), 1.0)
        for label in np.random.default_rng(seed).permutation(labels):
            size = int((group == label).sum())
            if size <= room:
                held[label] = True
                room -= size
        if not held.any():
            sizes = [int((group == label).sum()) for label in labels]
            held[labels[int(np.argmin(sizes))]] = True
        first = np.concatenate([[0], np.cumsum([len(c.names) for c in collections])])
        parts = [
            tuple(np.flatnonzero(part[of == i]) for i in range(len(collections)))
            for part in (kept & ~held[group], kept & held[group])
        ]
        excluded = tuple(int((~kept[first[i] : first[i + 1]]).sum()) for i in range(len(collections)))
        return cls(parts[0], parts[1], excluded)


def _groups(
    collections: Sequence[Collection], exclude: frozenset[str], twins: Sequence[Twin]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The group of each task, collection after collection, and whether each group is left out."""
    numbers: dict[object, int] = {}

    def number(node: object) -> int:
        return numbers.setdefault(node, len(numbers))

    edges, left_out, tasks = [], [number(word) for word in exclude], []
    for place, collection in enumerate(collections):
        own = groups(collection)
        for dataset, label in zip(collection.card.datasets, own, strict=True):
            task = number((collection.card.name, _word(dataset.name)))
            tasks.append(task)
            edges += [(task, number(_word(name))) for name in (dataset.name, dataset.family) if name]
            edges.append((task, number((place, int(label)))))
            if dataset.split == VALIDATION:
                left_out.append(task)
    for twin in twins:
        task = number((twin.collection, _word(twin.task)))
        edges.append((task, number(_word(twin.table))))
        if twin.split == VALIDATION:
            left_out.append(task)
    joined = Joined(len(numbers))
    for one, other in edges:
        joined.join(one, other)
    forbidden = {joined.root(node) for node in left_out}
    roots, group = np.unique([joined.root(task) for task in tasks], return_inverse=True)
    return group, np.isin(roots, list(forbidden))


def _word(name: str) -> str:
    """Numbers of datasets are the same with and without leading zeros."""
    return name.lstrip("0") or name if name.isdigit() else name
