"""How long a fit takes: processor seconds from a config and the shape of a table, before anything is run.

Each algorithm has a law of its own, powers of sizes and something fixed beside them::

    seconds = trees * (overhead + exp(base + sum over the terms of exponent * term))

Terms are logarithms of sizes ("log rows"), plain numbers ("regression") and switches ("scaling=robust"). A size is what
the learner really works with: leaves that the rows can fill, rows that a tree draws, pairs that are compared. So a law
that was fitted to small tables can be asked about large ones.

What a law leaves is mostly the table: how many rounds it takes until the validation loss stops falling, which no shape
tells. A table that is slow for one learner is slow for related ones, so fits that were seen on it correct the others.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from autometa.errors import ModelError, SpaceError
from autometa.tables.learners.forests import ROWS_OF_A_TREE, tree_count
from autometa.tables.learners.neighbours import MOST_ROWS, MOST_VALUES

if TYPE_CHECKING:
    from autometa.space import Config
    from autometa.tables.splits import Folds
    from autometa.tables.table import Table

FORMAT = 1
# Where every round ends with a look at the validation loss, a validation row costs this share of a training row.
LOOK = 0.3
# Multiplications that take as long as one activation, and as what a step costs for each layer, however small it is.
ACTIVATION, STEP = 100, 3_000_000
# Of the network's learner, which is not imported here because it brings torch along.
STEPS_PER_EPOCH, SMALLEST_BATCH = 20, 32
SHORTEST = 1e-4  # seconds that a fit counts with at least


@dataclass(frozen=True)
class Shape:
    """What of a table the time of a fit depends on.

    Attributes:
        rows: training rows of the fit.
        numbers, categories: columns, before any encoding.
        classes: 0 for a number.
        validation: rows to stop early on and to predict; None for half as many as training rows, as was recorded.
    """

    rows: float
    numbers: int
    categories: int
    classes: int
    validation: float | None = None

    @classmethod
    def of_fold(cls, table: Table, folds: Folds) -> Shape:
        """Of a fit on the first fold of a table."""
        features, (train, valid) = table.features, folds.pair(0)
        numbers, categories = features.numbers.shape[1], features.categories.shape[1]
        return cls(len(train), numbers, categories, len(table.classes), len(valid))


@dataclass(frozen=True)
class Law:
    """How long one algorithm takes; see the module.

    Attributes:
        overhead: seconds.
        base: logarithm of seconds.
        exponents: by term.
        spread: standard deviation of what it leaves of the logarithm, from config to config on one table.
    """

    overhead: float
    base: float
    exponents: Mapping[str, float]
    spread: float = 0.0

    def seconds(self, config: Config, shape: Shape) -> float:
        """What half of the fits exceed."""
        terms = terms_of(config, shape, self.exponents)
        work = self.base + sum(e * t for e, t in zip(self.exponents.values(), terms, strict=True))
        return trees_of(config, shape) * (self.overhead + math.exp(work))


@dataclass(frozen=True)
class TimeModel:
    """The laws of A algorithms, and what they have in common on one table.

    Attributes:
        laws: by algorithm.
        shared: covariances from table to table of what the laws leave of the logarithms, shape (A, A).
        reference: seconds of :func:`short_fit` on the machine of the recorded fits.
        card: what the model was fitted on.
    """

    laws: Mapping[str, Law]
    shared: Sequence[Sequence[float]]
    reference: float = 1.0
    card: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def shipped(cls) -> TimeModel:
        """The model that comes with autometa."""
        return cls.from_json(files("autometa").joinpath("weights/time_model.json").read_text(encoding="utf-8"))

    @classmethod
    def from_json(cls, text: str) -> TimeModel:
        """What :meth:`to_json` wrote.

        Raises:
            ModelError: it is something else, or of another format.
        """
        try:
            document = json.loads(text)
            if document["format"] != FORMAT:
                raise ModelError(f"this autometa reads time models of format {FORMAT}; this one has another")
            laws = {name: Law(**law) for name, law in document["laws"].items()}
            return cls(laws, document["shared"], document["reference"], document["card"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"this is no time model ({error!r}); benchmarks/time_model.py makes one") from error

    def to_json(self) -> str:
        """Plain numbers of four digits."""
        document = json.dumps({"format": FORMAT, **asdict(self)})
        rounded = json.loads(document, parse_float=lambda number: float(f"{float(number):.4g}"))
        return json.dumps(rounded, indent=1) + "\n"

    def seconds(
        self,
        config: Config,
        shape: Shape,
        *,
        quantile: float = 0.5,
        factor: float = 1.0,
        seen: Iterable[tuple[Config, float]] = (),
    ) -> float:
        """Processor seconds of one fit and of predicting its validation rows.

        Args:
            config: of space tabular-1.
            shape: of the fit.
            quantile: share of fits that take no longer.
            factor: of this machine, as :meth:`calibrate` gives it.
            seen: what was fitted on this table already, with the seconds it took here; each config once.

        Raises:
            SpaceError: the config is of another space.
        """
        law = self._law(config)
        mean, variance = self._of_table(config, shape, [(one, took / factor) for one, took in seen])
        deviation = math.sqrt(variance + law.spread**2)
        return factor * law.seconds(config, shape) * math.exp(mean + NormalDist().inv_cdf(quantile) * deviation)

    def calibrate(self) -> float:
        """How many times longer this machine takes than the one of the recorded fits, by one short fit."""
        return short_fit() / self.reference

    def _law(self, config: Config) -> Law:
        name = config.get("algorithm")
        if name not in self.laws:
            raise SpaceError(f"the time model knows how long {', '.join(self.laws)} take; it does not know {name!r}")
        return self.laws[str(name)]

    def _of_table(self, config: Config, shape: Shape, seen: Sequence[tuple[Config, float]]) -> tuple[float, float]:
        """Mean and variance of what the table adds to the logarithm: those of a Gaussian, given what was seen."""
        places = {name: i for i, name in enumerate(self.laws)}
        shared, own = np.asarray(self.shared), places[str(config["algorithm"])]
        left: dict[str, list[float]] = {}
        for one, took in seen:
            ratio = max(took, SHORTEST) / self._law(one).seconds(one, shape)
            left.setdefault(str(one["algorithm"]), []).append(math.log(ratio))
        if not left:
            return 0.0, float(shared[own, own])
        of = [places[name] for name in left]
        noise = [self.laws[name].spread ** 2 / len(found) for name, found in left.items()]
        # Without the last summand two learners that are always slow together could not be told apart.
        among = shared[np.ix_(of, of)] + np.diag(noise) + 1e-6 * np.eye(len(of))
        weights = np.linalg.solve(among, shared[of, own])
        mean = weights @ [sum(found) / len(found) for found in left.values()]
        return float(mean), max(0.0, float(shared[own, own] - weights @ shared[of, own]))


def terms_of(config: Config, shape: Shape, names: Iterable[str]) -> list[float]:
    """The terms of a law; see the module.

    Raises:
        SpaceError: the config lacks a hyperparameter.
    """
    try:
        values = {**config, **_sizes(config, shape)}
        return [_term(name, values) for name in names]
    except KeyError as error:
        raise SpaceError(f"the time model asks for hyperparameters of space tabular-1; {error} is missing") from error


def _term(name: str, values: Mapping[str, Any]) -> float:
    one, is_switch, choice = name.partition("=")
    if is_switch:
        return float(str(values[one]) == choice)
    return math.log(values[one.removeprefix("log ")]) if one.startswith("log ") else float(values[one])


def trees_of(config: Config, shape: Shape) -> int:
    """How often the work is done: once, but for each tree of a forest."""
    return tree_count(max(1, round(shape.rows))) if config["algorithm"] in ("extra_trees", "random_forest") else 1


def _sizes(config: Config, shape: Shape) -> dict[str, float]:
    """What the learners work with, by name."""
    values: Mapping[str, Any] = config
    rows, columns = max(1.0, shape.rows), max(1, shape.numbers + shape.categories)
    validation = rows / 2 if shape.validation is None else shape.validation
    encoding = values.get("booster_categories") or values["category_encoding"]
    sizes = {
        "rows": rows,
        "seen_rows": rows + LOOK * validation,
        "columns": columns,
        "outputs": shape.classes if shape.classes > 2 else 1,
        "regression": shape.classes == 0,
        "multiclass": shape.classes > 2,
        "categories": shape.categories / columns,
        "onehot": shape.categories / columns * (encoding == "onehot"),
        "target_means": shape.categories / columns * (encoding == "target"),
    }
    match values["algorithm"]:
        case "lightgbm":
            sizes["leaves"] = min(values["lightgbm_num_leaves"], 1 + rows / values["lightgbm_min_data_in_leaf"])
        case "xgboost":
            sizes["leaves"] = min(values["xgboost_max_leaves"], 2 ** values["xgboost_max_depth"], rows)
        case "catboost":
            sizes["leaves"] = min(2 ** values["catboost_depth"], max(2.0, rows / 2))
        case "extra_trees" | "random_forest":
            sizes["tree_rows"] = min(rows * values["forest_max_samples"], ROWS_OF_A_TREE)
        case "nearest_neighbours":
            kept = min(rows, MOST_ROWS, max(1000, MOST_VALUES // columns))
            sizes["pairs"] = 1 + kept * validation
        case "network" | "tabm":
            sizes["work"] = _work(values, rows, shape)
    return sizes


def _work(values: Mapping[str, Any], rows: float, shape: Shape) -> float:
    """Multiplications of a network for one row, and the row's share of what a step costs anyway."""
    width, blocks = values["network_width"], values["network_blocks"]
    layers = 2 * blocks if values["network_residual"] else blocks - 1
    embedded = values["network_embedding"] != "none"
    inputs = shape.categories + shape.numbers * (values["network_embedding_size"] if embedded else 1)
    outputs = max(1, shape.classes)
    batch = min(values["network_batch_size"], max(SMALLEST_BATCH, rows / STEPS_PER_EPOCH))
    multiplied = inputs * width + layers * width**2 + width * outputs + ACTIVATION * width * (layers + 1)
    return float(values.get("tabm_ensemble_width", 1) * multiplied + STEP * (layers + 2) / batch)


def short_fit() -> float:
    """Processor seconds of a fit that is the same everywhere; the better of two, as the first one warms up."""
    import lightgbm

    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((2_000, 20)).astype(np.float32)
    target = inputs[:, 0] * inputs[:, 1] + np.sin(inputs[:, 2]) + generator.standard_normal(len(inputs))
    settings = {"objective": "regression", "num_threads": 1, "deterministic": True, "force_row_wise": True}
    took = []
    for _ in range(2):
        begun = time.process_time()
        table = lightgbm.Dataset(inputs, target, params=settings | {"verbosity": -1})
        booster = lightgbm.Booster(settings | {"verbosity": -1}, table)
        for _ in range(60):
            booster.update()
        took.append(time.process_time() - begun)
    return min(took)
