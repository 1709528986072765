"""From a table's features to what a learner reads, fitted on the training rows only.

Boosters read numbers with gaps, and category codes; all other learners read one dense matrix.
Letters: n rows, c classes or outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.space import Config
from autometa.tables.category_columns import (
    ENCODED_OUTPUTS,
    Levels,
    TargetMeans,
    onehot,
    onehot_widths,
)
from autometa.tables.number_columns import NumberColumns, Scaling, distinct, to_float32
from autometa.tables.state import State
from autometa.tables.table import Features, Kind

BOOSTERS = frozenset({"lightgbm", "catboost", "xgboost"})
UNSCALED = BOOSTERS | {"extra_trees", "random_forest"}


@dataclass(frozen=True)
class Design:
    """The inputs of n rows as one learner reads them.

    Attributes:
        numbers: float32, shape (n, f); NaN where missing, for boosters only.
        categories: int32 codes, shape (n, f_cat), for boosters only; a missing value is a level too.
        cardinalities: codes of each category column are below these.
        continuous: how many of the number columns, the first ones, are quantities; the others are 0 or 1.
    """

    numbers: NDArray[np.float32]
    categories: NDArray[np.int32]
    cardinalities: tuple[int, ...]
    continuous: int

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def width(self) -> int:
        """Number of columns in all."""
        return int(self.numbers.shape[1] + self.categories.shape[1])

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Design:
        """The given rows."""
        return Design(self.numbers[rows], self.categories[rows], self.cardinalities, self.continuous)


@dataclass(frozen=True)
class Preprocessor:
    """Fitted preprocessing of one config.

    Attributes:
        width: number columns that it was fitted on.
        levels: merged category levels.
        encoding: native, onehot, ordinal or target.
        onehot_widths: 0/1 columns of each category column.
        means: target means of the categories, for the encoding "target".
        offset: subtracted from the number columns before they become float32, shape (width,).
        used: number columns that are read, as indices.
        indicators: number columns that have an indicator of gaps, as indices.
        numbers: filling and scaling, None where gaps stay.
    """

    width: int
    levels: Levels
    encoding: str
    onehot_widths: tuple[int, ...]
    means: TargetMeans
    offset: NDArray[np.float64]
    used: NDArray[np.int64]
    indicators: NDArray[np.int64]
    numbers: NumberColumns | None

    @property
    def outputs(self) -> int:
        """Columns that the learner reads."""
        flags = len(self.indicators) + sum(self.onehot_widths)
        native = len(self.levels.sizes) * (self.encoding in ("native", "ordinal"))
        return int(len(self.used) + flags + native + sum(table.shape[1] for table in self.means.tables))

    @classmethod
    def fit(
        cls, features: Features, target: NDArray[Any], config: Config, kind: Kind, *, seed: int
    ) -> tuple[Preprocessor, Design]:
        """Fit on training rows.

        Args:
            features: the training rows.
            target: class codes, all present, or values.
            config: names of tabular-1.
            kind: of the task.
            seed: of what is drawn.

        Returns:
            The preprocessor, and the training rows as it shows them. These are not always what
            :meth:`transform` would show: target means of a training row leave the row out.
        """
        algorithm = config["algorithm"]
        booster = algorithm in BOOSTERS
        encoding = str(config["booster_categories" if booster else "category_encoding"])
        levels = Levels.fit(features, rare=int(config["rare_categories"]))
        codes = levels.codes(features)
        means, extra = TargetMeans(()), np.empty((len(features), 0), np.float32)
        if encoding == "target":
            means, extra = TargetMeans.fit_transform(codes, levels.sizes, _outputs(target, kind), seed=seed)
        elif encoding == "ordinal":
            extra = codes.astype(np.float32)
        widths = onehot_widths(levels.sizes, len(features)) if encoding == "onehot" else ()

        raw = features.numbers
        holes = np.isnan(raw)
        gaps = holes.any(axis=0) & ~holes.all(axis=0)
        differs = distinct(raw)
        # For boosters a gap is a value, so a constant with gaps says something.
        used = np.flatnonzero(differs | gaps if booster else differs)
        indicators = np.flatnonzero(gaps if not booster and config["missing_indicators"] else np.zeros_like(gaps))
        offset = _offset(raw)
        partial = cls(raw.shape[1], levels, encoding, widths, means, offset, used, indicators, numbers=None)
        values = partial._quantities(raw, extra)
        numbers = None
        if not booster:
            scaling: Scaling = "none" if algorithm in UNSCALED else config["scaling"]  # type: ignore[assignment]
            numbers = NumberColumns.fit(values, imputation=str(config["imputation"]), scaling=scaling, seed=seed)
        fitted = cls(raw.shape[1], levels, encoding, widths, means, offset, used, indicators, numbers)
        return fitted, fitted._design(values, raw, codes)

    def transform(self, features: Features) -> Design:
        """Rows as the learner reads them."""
        if features.numbers.shape[1] != self.width:
            raise ModelError(
                f"the model reads {self.width} number columns; the table has {features.numbers.shape[1]}; "
                "encode it with the schema that was saved with the model"
            )
        codes = self.levels.codes(features)
        extra = np.empty((len(features), 0), np.float32)
        if self.encoding == "target":
            extra = self.means.transform(codes)
        elif self.encoding == "ordinal":
            extra = codes.astype(np.float32)
        return self._design(self._quantities(features.numbers, extra), features.numbers, codes)

    def _quantities(self, raw: NDArray[np.floating], extra: NDArray[np.float32]) -> NDArray[np.float32]:
        values = raw[:, self.used]
        if values.dtype != np.float32:
            values = values - self.offset[self.used]
        values = to_float32(values)
        return np.concatenate([values, extra], axis=1) if extra.shape[1] else values

    def _design(self, values: NDArray[np.float32], raw: NDArray[np.floating], codes: NDArray[np.int32]) -> Design:
        native = self.encoding == "native"
        none = np.empty((len(values), 0), np.int32)
        shown = values if self.numbers is None else self.numbers.transform(values)
        flags = [np.isnan(raw[:, self.indicators]).astype(np.float32)] if len(self.indicators) else []
        if self.encoding == "onehot" and self.onehot_widths:
            flags.append(onehot(codes, self.levels.sizes, self.onehot_widths))
        matrix = np.concatenate([shown, *flags], axis=1) if flags else shown
        return Design(
            np.ascontiguousarray(matrix),
            codes if native else none,
            self.levels.sizes if native else (),
            values.shape[1],
        )

    def state(self) -> State:
        """What to save."""
        parts = {"levels": self.levels.state()}
        fills = self.numbers is not None
        if self.numbers is not None:
            parts["numbers"] = self.numbers.state()
        parts["means"] = State({}, {str(i): table for i, table in enumerate(self.means.tables)})
        parts["columns"] = State({}, {"offset": self.offset, "used": self.used, "indicators": self.indicators})
        return State.joined(
            parts, width=self.width, encoding=self.encoding, onehot_widths=self.onehot_widths, fills=fills
        )

    @classmethod
    def from_state(cls, state: State) -> Preprocessor:
        """What :meth:`state` described.

        Raises:
            ModelError: it does not fit together.
        """
        settings, width = state.settings, int(state.settings["width"])
        levels = Levels.from_state(state.part("levels"))
        encoding = str(settings["encoding"])
        widths = tuple(int(one) for one in settings["onehot_widths"])
        columns, means = state.part("columns"), state.part("means")
        used, indicators = (columns.array(name, np.int64, None) for name in ("used", "indicators"))
        tables: tuple[NDArray[np.float32], ...] = ()
        if encoding == "target":
            tables = tuple(means.array(str(i), np.float32, size, None) for i, size in enumerate(levels.sizes))
        for one in (used, indicators):
            if len(one) and (one.min() < 0 or one.max() >= width):
                raise ModelError("a column of the saved model is out of range; save it again")
        if encoding == "onehot" and (len(widths) != len(levels.sizes) or min(widths, default=1) < 1):
            raise ModelError("the category columns of the saved model do not fit together; save it again")
        numbers = NumberColumns.from_state(state.part("numbers")) if settings["fills"] else None
        extra = sum(table.shape[1] for table in tables) + len(levels.sizes) * (encoding == "ordinal")
        if numbers is not None and len(numbers.fill) != len(used) + extra:
            raise ModelError("the number columns of the saved model do not fit together; save it again")
        offset = columns.array("offset", np.float64, width)
        return cls(width, levels, encoding, widths, TargetMeans(tables), offset, used, indicators, numbers)


def _outputs(target: NDArray[Any], kind: Kind) -> NDArray[np.float64]:
    """What is averaged by category, shape (n, k): the value, or whether the row is of a class."""
    if kind == "regression":
        return np.asarray(target, np.float64)[:, None]
    counts = np.bincount(target)
    # One column says it all for two classes; for many, the most frequent ones.
    shown = [1] if len(counts) == 2 else np.sort(np.argsort(-counts, kind="stable")[:ENCODED_OUTPUTS])
    return np.asarray(target[:, None] == np.asarray(shown), np.float64)


def _offset(raw: NDArray[np.floating]) -> NDArray[np.float64]:
    """Medians of columns such as timestamps, whose differences float32 would lose; 0 for the others."""
    found = np.zeros(raw.shape[1])
    if raw.dtype != np.float64 or not len(raw):
        return found
    low, high = np.fmin.reduce(raw, axis=0), np.fmax.reduce(raw, axis=0)
    far = np.maximum(np.abs(low), np.abs(high)) > 1000 * (high - low)
    found[far] = low[far]
    return found
