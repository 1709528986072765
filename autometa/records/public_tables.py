"""Reading public tables of recorded tasks: evaluations.parquet, configs.parquet where configs are shared, space.json.

`space.json` names the objective, the fidelity, the cost and the hyperparameters, either one list with conditions or
one list per algorithm. Evaluations that a source left out are missing rows; those that diverged are rows without a
number, and become failed trials.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autometa.errors import ModelError
from autometa.parameters import Categorical, Float, Int, Parameter
from autometa.records.card import Card, Dataset
from autometa.records.collection import Collection, Evaluations
from autometa.space import Config, Space

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EVALUATIONS, CONFIGS, SPACE = "evaluations.parquet", "configs.parquet", "space.json"
LOG_FROM = 50.0  # listed positive values whose largest is so many times the smallest are taken as a log scale
NONE = "none"  # the choice that stands for a value which the source left out


def read_public(folder: Path) -> Collection:
    """Read a folder in the public-table layout.

    Raises:
        ModelError: a file is missing or damaged, or names a column that is not there.
    """
    try:
        document = json.loads((folder / SPACE).read_text(encoding="utf-8"))
        frame = pd.read_parquet(folder / EVALUATIONS)
        listed = pd.read_parquet(folder / CONFIGS) if (folder / CONFIGS).exists() else None
    except OSError as error:
        raise ModelError(f"a public table holds {EVALUATIONS} and {SPACE}; {folder}: {error}") from error
    except ValueError as error:
        raise ModelError(f"{folder} is not a public table: {error}") from error
    try:
        return _collection(folder, document, frame, listed)
    except KeyError as error:
        raise ModelError(f"{folder} lacks the column or entry {error}") from error
    except (TypeError, ValueError) as error:
        raise ModelError(f"the files of {folder} must fit one another: {error}") from error


def _collection(
    folder: Path, document: Mapping[str, Any], frame: pd.DataFrame, listed: pd.DataFrame | None
) -> Collection:
    name = str(document["name"])
    if listed is None:
        names = [h["name"] for h in document["hyperparameters"]]
        frame = frame.assign(config_id=frame.groupby(names, observed=True, dropna=False, sort=False).ngroup())
        listed = frame[["config_id", *names]].drop_duplicates("config_id")
    unknown = sorted(set(frame["config_id"]) - set(listed["config_id"]))
    if unknown:
        raise ModelError(f"{folder / CONFIGS} must list every config; it lacks {unknown[:5]}")
    listed = listed[listed["config_id"].isin(frame["config_id"].unique())]
    if "hyperparameters_by_algorithm" in document:
        space = Space(name, branches(document["hyperparameters_by_algorithm"], listed))
        configs = [branch_config(space, row) for row in listed.to_dict("records")]
    else:
        space = Space(name, _ordered([_parameter(h) for h in document["hyperparameters"]]))
        configs = [_plain_config(space, row) for row in listed.to_dict("records")]
    for config in configs:
        space.check(config)
    frame = frame[_share(frame, document["fidelity"]) > 0]
    tasks = sorted(frame["task_id"].astype(str).unique())
    card = Card(
        name=folder.name,
        about=f"{document['kind']}: {document['objective']['metric']}, {document['objective']['direction']}d",
        space=name,
        space_version=space.version,
        datasets=tuple(Dataset(task, _dataset(task), metric=document["objective"]["metric"]) for task in tasks),
    )
    place = {config_id: i for i, config_id in enumerate(listed["config_id"])}
    evaluations = Evaluations(
        task=pd.Categorical(frame["task_id"].astype(str), categories=tasks).codes.astype(np.int32),
        config=frame["config_id"].map(place).to_numpy(np.int32),
        budget=_share(frame, document["fidelity"]),
        loss=losses_of(frame, document["objective"]["metric"], document["objective"]["direction"]),
        test_loss=losses_of(frame, document["objective"].get("report"), document["objective"]["direction"]),
        seconds=_seconds(frame, document["cost"]),
    )
    return Collection(card, space, tuple(configs), evaluations)


def _dataset(task: str) -> str:
    """Which dataset a task is on: OpenML's numbers are the same with and without leading zeros."""
    return task.lstrip("0") or task if task.isdigit() else task


def _share(frame: pd.DataFrame, fidelity: Mapping[str, Any] | None) -> NDArray[np.float64]:
    """The budget of each row, as a share of the highest fidelity."""
    if fidelity is None:
        return np.ones(len(frame))
    highest = fidelity.get("max", max(fidelity["levels"]))
    return np.asarray(np.round(frame["fidelity"].to_numpy(np.float64) / highest, 6))


def losses_of(frame: pd.DataFrame, metric: str | None, direction: str) -> NDArray[np.float64]:
    """A metric as a loss, NaN where it is not finite; all NaN where there is no metric."""
    if metric is None:
        return np.full(len(frame), np.nan)
    values = frame[metric].to_numpy(np.float64)
    return np.asarray(np.where(np.isfinite(values), -values if direction == "maximize" else values, np.nan))


def _seconds(frame: pd.DataFrame, cost: Mapping[str, Any] | None) -> NDArray[np.float64]:
    # Latency is what a fitted network takes to predict, and says nothing of its training.
    if cost is None or cost.get("unit") not in ("s", "seconds") or cost["metric"] == "latency":
        return np.full(len(frame), np.nan)
    return np.asarray(np.maximum(frame[cost["metric"]].to_numpy(np.float64), 0.0))


# One list of hyperparameters


def _parameter(h: Mapping[str, Any]) -> Parameter:
    name, when = h["name"], None
    if h.get("active_if_all"):
        (condition,) = h["active_if_all"]  # a conjunction of several parents is in no table so far
        when = (condition["parent"], tuple(condition["in"]))
    if h["type"] == "categorical":
        return Categorical(name=name, choices=tuple(h["choices"]), default=h["choices"][0], when=when)
    if h["type"] == "ordinal":
        low, high, whole = min(h["choices"]), max(h["choices"]), all(float(c).is_integer() for c in h["choices"])
    else:
        low, high, whole = h["lower"], h["upper"], h["type"] == "int"
    return _range(name, low, high, log=bool(h["log"]), whole=whole, when=when)


def _range(
    name: str, low: float, high: float, *, log: bool, whole: bool, when: tuple[str, tuple[Any, ...]] | None
) -> Parameter:
    if whole:
        middle = round(math.sqrt(low * high) if log else (low + high) / 2)
        return Int(name=name, low=round(low), high=round(high), log=log, default=middle, when=when)
    centre = math.sqrt(low * high) if log else (low + high) / 2
    return Float(name=name, low=low, high=high, log=log, default=centre, when=when)


def _ordered(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Parents before children."""
    return tuple(sorted(parameters, key=lambda p: p.when is not None))


def _plain_config(space: Space, row: Mapping[str, Any]) -> Config:
    config: dict[str, Any] = {}
    for p in space:
        if p.when is None or config.get(p.when[0]) in p.when[1]:
            config[p.name] = _value(p, row[p.name])
    return config


def _value(p: Parameter, value: Any) -> Any:
    if isinstance(p, Categorical):
        return value
    number = float(value)
    nearest = min(max(number, p.low), p.high)
    # Single precision takes a bound to either side of itself; what is further outside, the space refuses.
    if not math.isclose(number, nearest, rel_tol=1e-6, abs_tol=1e-12):
        return number
    return round(nearest) if isinstance(p, Int) else p.tidy(nearest)


# One list per algorithm


def branches(lists: Mapping[str, Mapping[str, Sequence[Any]]], listed: pd.DataFrame) -> tuple[Parameter, ...]:
    """``algorithm``, and for each algorithm its hyperparameters as ALGORITHM.NAME.

    A hyperparameter with one value in all configs is left out. Numbers that are not given in every config of the
    algorithm depend on a choice between "given" and "none"; words get "none" as one choice more.
    """
    algorithms = tuple(lists)
    parameters: list[Parameter] = [Categorical(name="algorithm", choices=algorithms, default=algorithms[0])]
    for algorithm, hyperparameters in lists.items():
        own = listed[listed["algorithm"] == algorithm]
        for name in hyperparameters:
            values = own[name].dropna().unique().tolist()
            gaps = bool(own[name].isna().any())
            if len(values) + gaps < 2:
                continue
            full, when = f"{algorithm}.{name}", ("algorithm", (algorithm,))
            numbers = _as_numbers(values)
            if numbers is None:
                words = sorted(set(map(str, values)))
                choices = (*words, *([NONE] if gaps and NONE not in words else []))
                parameters.append(Categorical(name=full, choices=choices, default=choices[0], when=when))
                continue
            if gaps:
                flag = f"{full}.set"
                parameters.append(Categorical(name=flag, choices=("given", NONE), default="given", when=when))
                when = (flag, ("given",))
            low, high = min(numbers), max(numbers)
            log = low > 0 and high / low >= LOG_FROM
            whole = all(n.is_integer() for n in numbers)
            parameters.append(_range(full, low, high, log=log, whole=whole, when=when))
    return tuple(parameters)


def _as_numbers(values: Sequence[Any]) -> list[float] | None:
    try:
        numbers = [float(v) for v in values]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def branch_config(space: Space, row: Mapping[str, Any]) -> Config:
    """The config that a row of columns describes, in a space of :func:`branches`."""
    config: dict[str, Any] = {"algorithm": row["algorithm"]}
    for p in space.parameters[1:]:
        assert p.when is not None
        if config.get(p.when[0]) not in p.when[1]:
            continue
        name = p.name.removeprefix(f"{row['algorithm']}.").removesuffix(".set")
        missing = bool(pd.isna(row[name]))
        if p.name.endswith(".set"):
            config[p.name] = NONE if missing else "given"
        elif isinstance(p, Categorical):
            config[p.name] = NONE if missing else str(row[name])
        else:
            config[p.name] = _value(p, row[name])
    return config
