"""A table as learners see it: numbers, category codes, target and weights as plain arrays."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Kind = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True)
class Features:
    """The inputs of r rows, encoded by a :class:`~autometa.tables.schema.Schema`.

    Attributes:
        numbers: float32 or float64, shape (r, f_num); NaN where missing, never infinite.
        categories: int32 codes, shape (r, f_cat); -1 where missing or never seen.
        cardinalities: levels of each category column, length f_cat; codes are below it.
        number_names: names of the number columns, length f_num.
        category_names: names of the category columns, length f_cat.
    """

    numbers: NDArray[np.floating]
    categories: NDArray[np.int32]
    cardinalities: tuple[int, ...]
    number_names: tuple[str, ...]
    category_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: NDArray[np.intp]) -> Features:
        """The given rows, in the given order."""
        return replace(self, numbers=self.numbers[rows], categories=self.categories[rows])


@dataclass(frozen=True)
class Table:
    """Features with what is to be predicted from them.

    Attributes:
        features: the inputs of r rows.
        target: shape (r,): int64 class index in [0, c) or float64 value.
        classes: the names of the c classes, () for regression.
        weights: float64 sample weights, shape (r,), or None for equal weights.
    """

    features: Features
    target: NDArray[np.int64] | NDArray[np.float64]
    classes: tuple[str, ...] = ()
    weights: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def kind(self) -> Kind:
        """What kind of task the target makes."""
        if not self.classes:
            return "regression"
        return "binary" if len(self.classes) == 2 else "multiclass"

    @property
    def outputs(self) -> int:
        """Columns of a prediction: one per class, or one for a number."""
        return max(1, len(self.classes))

    @property
    def sizes(self) -> dict[str, float | str]:
        """Its kind and sizes, as a policy knows them of every dataset."""
        numbers, categories = self.features.numbers.shape[1], self.features.categories.shape[1]
        return {
            "kind": self.kind,
            "rows": float(len(self)),
            "features": float(numbers + categories),
            "numbers": float(numbers),
            "categories": float(categories),
            "classes": float(len(self.classes)),
        }

    def take(self, rows: NDArray[np.intp]) -> Table:
        """The given rows, in the given order."""
        return replace(
            self,
            features=self.features.take(rows),
            target=self.target[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    def save(self, folder: Path) -> None:
        """Write the arrays as .npy files, so that many processes can map the same memory."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "numbers.npy", self.features.numbers)
        np.save(folder / "categories.npy", self.features.categories)
        np.save(folder / "target.npy", self.target)
        if self.weights is not None:
            np.save(folder / "weights.npy", self.weights)
        names = {
            "cardinalities": self.features.cardinalities,
            "number_names": self.features.number_names,
            "category_names": self.features.category_names,
            "classes": self.classes,
        }
        (folder / "table.json").write_text(json.dumps(names), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Table:
        """Map the arrays that :meth:`save` wrote; nothing is read until it is used."""
        names = json.loads((folder / "table.json").read_text(encoding="utf-8"))

        def array(name: str) -> NDArray[np.generic]:
            path = folder / f"{name}.npy"
            # An empty array cannot be mapped.
            mode: Literal["r"] | None = "r" if path.stat().st_size > 256 else None
            return np.load(path, mmap_mode=mode, allow_pickle=False)  # type: ignore[no-any-return]

        features = Features(
            array("numbers"),  # type: ignore[arg-type]
            array("categories"),  # type: ignore[arg-type]
            tuple(names["cardinalities"]),
            tuple(names["number_names"]),
            tuple(names["category_names"]),
        )
        has_weights = (folder / "weights.npy").exists()
        return cls(
            features,
            array("target"),  # type: ignore[arg-type]
            tuple(names["classes"]),
            array("weights") if has_weights else None,  # type: ignore[arg-type]
        )
