"""HPO-B: accuracies from OpenML on scaled hyperparameters.

Pineda Arango, Jomaa, Wistuba and Grabocka 2021, "HPO-B: A Large-Scale Reproducible Benchmark for Black-Box HPO based
on OpenML". A file of it holds

```
{search space: {dataset: {"X": [n rows of d numbers in the unit cube], "y": [[n accuracies]]}}}
```

Its columns have no names; a categorical hyperparameter is one column per choice, and where values were missing a
further column says so. What it calls a dataset is the number of an OpenML task, not of an OpenML dataset. Each search
space has a split of its own, so a dataset that one space trains on another may test on: the families tell them apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autometa.errors import InputError, ModelError
from autometa.parameters import Float
from autometa.records.card import Card, Dataset
from autometa.records.collection import Collection, Evaluations
from autometa.space import Config, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The second name of a split is read where the first is not there: it holds the rarer search spaces too.
FILES = {
    "train": ("meta-train-dataset.json", "meta-train-dataset-augmented.json"),
    "validation": ("meta-validation-dataset.json",),
    "test": ("meta-test-dataset.json",),
}
LAYOUT = '{search space: {dataset: {"X": rows of numbers in [0, 1], "y": one accuracy per row}}}'
DECIMALS = 12  # what a Float keeps of a number in [0, 1]
SLACK = 1e-6  # scaling in single precision may leave the unit cube by so much


@dataclass(frozen=True)
class _Part:
    """The n evaluations of one dataset: X of shape (n, d), y of shape (n,)."""

    name: str
    split: str
    X: NDArray[np.float64]
    y: NDArray[np.float64]


def read_hpob(path: str | Path, *, space_id: str | None = None, space: Space | None = None) -> list[Collection]:
    """Read HPO-B: one collection per search space.

    Accuracy is to be high, so the loss is its negative; an accuracy that is no finite number is a failed trial.

    Args:
        path: one of its files, or the folder of them; the split of a dataset is that of its file.
        space_id: the one search space to read.
        space: what the columns of that search space stand for, a hyperparameter each; without it they are x0, x1, ...
            in [0, 1].

    Raises:
        InputError: there is no such search space, or `space` is to describe several.
        ModelError: a file is missing, damaged or laid out in another way, or `space` does not fit it.
    """
    found: dict[str, dict[str, _Part]] = {}
    for file, split in _files(Path(path)):
        for key, datasets in _read(file).items():
            parts = found.setdefault(key, {})
            for name, content in datasets.items() if space_id in (None, key) else ():
                if name in parts:
                    raise ModelError(f"a dataset has one split; {file} repeats {name!r} of search space {key!r}")
                parts[name] = _part(file, key, name, split, content)
    # A search space with too few datasets stands empty in the files of the other splits.
    spaces = {key: list(parts.values()) for key, parts in found.items() if parts}
    if not spaces and space_id is None:
        raise ModelError(f"a file of HPO-B must be {LAYOUT}; {path} has no evaluations: unpack it again")
    if not spaces:
        raise InputError(f"a search space is one of {', '.join(sorted(found))}; {path} has none called {space_id!r}")
    if space is not None and len(spaces) > 1:
        raise InputError(f"a space describes one search space; {path} has {len(spaces)}: name one by space_id")
    return [_collection(key, parts, space) for key, parts in spaces.items()]


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    if not path.is_dir():
        yield path, next((split for split, names in FILES.items() if path.name in names), "")
        return
    there = {split: [path / n for n in names if (path / n).exists()] for split, names in FILES.items()}
    if not any(there.values()):
        raise ModelError(f"a folder of HPO-B holds {', '.join(n for n, *_ in FILES.values())}; {path} has none of them")
    for split, files in there.items():
        if files:
            yield files[0], split


def _read(file: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        with file.open(encoding="utf-8") as stream:
            document = json.load(stream, object_hook=_as_arrays)
    except OSError as error:
        raise ModelError(f"a file of HPO-B cannot be read: {file}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"a file of HPO-B is json; {file} is not: {error}") from error
    if not isinstance(document, dict) or not all(isinstance(d, dict) for d in document.values()):
        raise ModelError(f"a file of HPO-B must be {LAYOUT}; {file} is something else: unpack it again")
    return document


def _as_arrays(entry: dict[str, Any]) -> Any:
    """Numbers as arrays while the file is read: as lists of lists, they take four times the memory."""
    if not entry.keys() >= {"X", "y"}:
        return entry
    try:
        return {k: np.asarray(entry[k], np.float64) for k in ("X", "y")}
    except (TypeError, ValueError):  # left for the check that can say which dataset it is
        return entry


def _part(file: Path, key: str, name: str, split: str, content: Any) -> _Part:
    where = f"{file}, search space {key!r}, dataset {name!r}"
    X, y = _numbers(content, "X"), _numbers(content, "y")
    if X.ndim != 2 or not X.size or y.size != len(X):
        raise ModelError(
            f"a file of HPO-B must be {LAYOUT}; {where} has numbers of shapes {X.shape} and {y.shape}: unpack it again"
        )
    outside = ~((X >= -SLACK) & (X <= 1 + SLACK))
    if outside.any():
        raise ModelError(
            f"the rows of HPO-B lie in the unit cube; {where} has {X[outside][0]}: scale every column to [0, 1]"
        )
    # Adding zero turns a negative zero into a plain one.
    return _Part(name, split, np.asarray(np.round(X.clip(0.0, 1.0), DECIMALS) + 0.0), y.reshape(-1))


def _numbers(content: Any, key: str) -> NDArray[np.float64]:
    """What stands under the key if it became an array; nothing, of shape (0,), otherwise."""
    found = content.get(key) if isinstance(content, dict) else None
    return found if isinstance(found, np.ndarray) else np.empty(0)


def _collection(key: str, parts: Sequence[_Part], space: Space | None) -> Collection:
    widths = sorted({part.X.shape[1] for part in parts} | ({len(space)} if space else set()))
    if len(widths) > 1:
        raise ModelError(
            f"the rows of a search space and its hyperparameters must be as many numbers; for {key!r} they are {widths}"
        )
    rows = np.concatenate([part.X for part in parts])
    y = np.concatenate([part.y for part in parts])
    row = pd.DataFrame(rows).groupby(list(range(widths[0])), sort=False).ngroup().to_numpy()
    once = rows[np.unique(row, return_index=True)[1]]
    if space is None:
        space = _plain_space(key, widths[0])
        names = [p.name for p in space]
        configs: list[Config] = [dict(zip(names, values, strict=True)) for values in once.tolist()]
    else:
        # Several rows may be one config, as when they differ in a hyperparameter that is not active.
        configs, place = _each_once([space.from_unit(values) for values in once])
        row = place[row]
    card = Card(
        name=f"hpob-{key}",
        about=f"HPO-B, search space {key}: accuracy, maximized",
        space=space.name,
        space_version=space.version,
        datasets=tuple(
            Dataset(p.name, f"openml-task-{p.name}", split=p.split, origin=f"OpenML task {p.name}", metric="accuracy")
            for p in parts
        ),
    )
    unknown = np.full(len(y), np.nan)
    evaluations = Evaluations(
        task=np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.y) for part in parts]),
        config=row.astype(np.int32),
        budget=np.ones(len(y)),
        loss=np.where(np.isfinite(y), -y, np.nan),
        test_loss=unknown,
        seconds=unknown,
    )
    return Collection(card, space, tuple(configs), evaluations)


def _plain_space(key: str, width: int) -> Space:
    return Space(f"hpob-{key}", tuple(Float(name=f"x{i}", low=0.0, high=1.0, default=0.5) for i in range(width)))


def _each_once(configs: Sequence[Config]) -> tuple[list[Config], NDArray[np.int32]]:
    """The different configs, and which of them each one is."""
    places: dict[tuple[Any, ...], int] = {}
    place = [places.setdefault(tuple(config.items()), len(places)) for config in configs]
    return [dict(items) for items in places], np.array(place, np.int32)
