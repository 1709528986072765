"""The card of a collection: what was recorded, on which datasets, and how."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import tomli_w

from autometa.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1


@dataclass(frozen=True)
class Dataset:
    """What the card says of a dataset.

    Attributes:
        name: of its task.
        family: related datasets share one; a family never stands on both sides of a split.
        split: the part of the collection that it belongs to.
        origin, licence: where it comes from.
        kind: "binary", "multiclass", "regression", or "" where nobody knows.
        metric: whose loss was recorded.
        folds: of the recorded rows.
        rows, recorded_rows, test_rows: of the table, of the folds, and the held-out ones.
        numbers, categories: columns after encoding.
        classes: 0 for a number.
    """

    name: str
    family: str
    split: str = ""
    origin: str = ""
    licence: str = ""
    kind: str = ""
    metric: str = ""
    folds: int = 1
    rows: int = 0
    recorded_rows: int = 0
    test_rows: int = 0
    numbers: int = 0
    categories: int = 0
    classes: int = 0

    @property
    def features(self) -> dict[str, float | str]:
        """What a policy may know of it, as in a search; empty where nobody knows."""
        if not self.kind:
            return {}
        return {
            "kind": self.kind,
            "rows": float(self.recorded_rows),
            "features": float(self.numbers + self.categories),
            "numbers": float(self.numbers),
            "categories": float(self.categories),
            "classes": float(self.classes),
        }


@dataclass(frozen=True)
class Card:
    """What a collection says of itself.

    Attributes:
        name: of the collection.
        about: what was recorded and how, in a sentence or two.
        space, space_version: of the configs.
        datasets: one per task.
        objective_version: of the evaluation; recordings of another one are not comparable.
        seed: of rows, configs and fits.
        rows: the most training rows of a fold.
        seconds: limit of a fit.
        versions: of the packages.
        machines: kinds of processors.
    """

    name: str
    about: str
    space: str
    space_version: str
    datasets: tuple[Dataset, ...]
    objective_version: str = ""
    seed: int = 0
    rows: int = 0
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    machines: tuple[str, ...] = ()

    def to_toml(self, checksum: str) -> str:
        """The card as a file; the checksum is that of the trials."""
        document: dict[str, Any] = {"format": FORMAT, "checksum": checksum, **asdict(self)}
        return tomli_w.dumps(document | {"machines": list(self.machines), "datasets": list(document["datasets"])})

    @classmethod
    def read(cls, path: Path) -> tuple[Card, str]:
        """The card in a file, and the checksum of the trials that it speaks of.

        Raises:
            ModelError: it is no card, or one of another format.
        """
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
            if document.pop("format") != FORMAT:
                raise ModelError(f"this autometa reads collections of format {FORMAT}; {path} has another one")
            checksum = str(document.pop("checksum"))
            datasets = tuple(Dataset(**entry) for entry in document.pop("datasets"))
            machines = tuple(document.pop("machines"))
            return cls(**document, machines=machines, datasets=datasets), checksum
        except OSError as error:
            raise ModelError(f"a collection has a card; {path} cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is not the card of a collection: {error}") from error
