"""Runs that people uploaded to OpenML, as a collection (the extra `openml`).

Vanschoren, van Rijn, Bischl and Torgo 2013, "OpenML: networked science in machine learning". A run is a flow (an
algorithm) with a setup (values of its hyperparameters) on a task. No space is published: it is what the setups hold.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection as Group
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, Literal

import numpy as np
import pandas as pd

from autometa.errors import InputError, MissingExtraError, ModelError
from autometa.parameters import Condition
from autometa.records.card import Card, Dataset
from autometa.records.collection import Collection, Evaluations
from autometa.records.public_tables import branch_config, branches, losses_of
from autometa.space import Config, Space

Direction = Literal["maximize", "minimize"]

COLUMNS = ("run_id", "task_id", "data_id", "flow_id", "setup_id", "value", "parameters")
# The server does not say which way its measures point.
HIGHER = {
    "area_under_roc_curve", "correlation_coefficient", "f_measure", "kappa", "kb_relative_information_score",
    "matthews_correlation_coefficient", "mean_area_under_roc_curve", "mean_f_measure", "mean_precision", "mean_recall",
    "mean_weighted_f_measure", "mean_weighted_precision", "mean_weighted_recall", "precision", "predictive_accuracy",
    "recall", "single_point_area_under_roc_curve", "unweighted_recall",
}  # fmt: skip
LOWER = {
    "average_cost", "class_complexity", "kohavi_wolpert_error", "mean_absolute_error", "mean_class_complexity",
    "relative_absolute_error", "root_mean_squared_error", "root_relative_squared_error", "total_cost", "webb_error",
}  # fmt: skip
# They choose no model, only its luck, its speed and its chatter.
LEFT_OUT = ("n_jobs", "nthread", "num-slots", "num.threads", "random_state", "seed", "verbose")
MISSING = {"", "na", "none", "null"}

_OWNER = re.compile(r"^(?:.*\(\d+\)|\d+)_")  # "weka.J48(1)_C" and "60_C" are the C of a flow
_FLOW = "flow"  # the one algorithm, to the helpers that know tables of several
_PREFIX = f"{_FLOW}.:"  # the colon: a column of theirs is called algorithm, and so is a hyperparameter of AdaBoost


def read_openml_runs(
    *,
    task_ids: Sequence[int],
    flow_id: int,
    metric: str = "predictive_accuracy",
    direction: Direction | None = None,
    client: Any = None,
) -> Collection:
    """Fetch the runs of a flow on some tasks.

    Args:
        task_ids: numbers of OpenML tasks.
        flow_id: number of an OpenML flow.
        metric: one of OpenML's evaluation measures.
        direction: which way it points; needed for an uncommon one only.
        client: what stands in for the package `openml`.

    Raises:
        InputError: there are no such runs, or the metric needs a direction.
        MissingExtraError: the package is not installed.
        ModelError: see :func:`collection_of`.
    """
    evaluations = (client or _library()).evaluations
    frame = evaluations.list_evaluations_setups(
        function=metric, flows=[flow_id], tasks=list(task_ids), output_format="dataframe"
    )
    if len(frame) == 0:
        raise InputError(f"OpenML must hold runs to read; flow {flow_id} has none with {metric!r} on {list(task_ids)}")
    return collection_of(frame, metric=metric, direction=direction)


def _library() -> Any:
    try:
        return import_module("openml")
    except ImportError as error:
        raise MissingExtraError(
            "the client of OpenML is optional and is not installed; install autometa[openml]"
        ) from error


def collection_of(
    frame: pd.DataFrame, *, metric: str, direction: Direction | None = None, leave_out: Group[str] = LEFT_OUT
) -> Collection:
    """The collection in a table of runs.

    The space spans the values that were tried. A hyperparameter with one value is left out. Numbers tried over a factor
    of 50 or more are on a log scale; a number that some setups do not give, or give as None or infinity, depends on a
    choice between "given" and "none", and words get "none" as one choice more. A hyperparameter that is a number here
    and a word there is all words.

    Of several runs of a config on a task the loss is the mean, without those that have none; it failed where all did.

    Args:
        frame: one row per run, with the columns of `openml.evaluations.list_evaluations_setups`.
        metric: what its column `value` is.
        direction: which way that points; needed for an uncommon one only.
        leave_out: hyperparameters that are none.

    Raises:
        InputError: the metric needs a direction.
        ModelError: a column is missing, or the runs are of several flows, or none of them differ.
    """
    if direction is None and metric not in HIGHER | LOWER:
        raise InputError(f"OpenML does not say which way a measure points; give the direction of {metric!r}")
    lacking = [c for c in COLUMNS if c not in frame]
    if lacking:
        raise ModelError(f"a table of OpenML runs has the columns {', '.join(COLUMNS)}; it lacks {', '.join(lacking)}")
    flows = frame["flow_id"].unique().tolist()
    if len(flows) != 1:
        raise ModelError(f"runs of one flow share a space; these are of the flows {flows}: take one at a time")
    frame = frame.sort_values("run_id")  # the order in which people tried
    space, configs, place = _space(f"openml-flow-{flows[0]}", frame, leave_out)
    tasks = frame.drop_duplicates("task_id").sort_values("task_id")
    runs = pd.DataFrame({
        "task": pd.Categorical(frame["task_id"], categories=tasks["task_id"]).codes,
        "config": frame["setup_id"].map(place).to_numpy(),
        "loss": losses_of(frame, "value", direction or ("maximize" if metric in HIGHER else "minimize")),
    })  # fmt: skip
    means = runs.groupby(["task", "config"], sort=False)["loss"].mean().reset_index()
    unknown = np.full(len(means), np.nan)
    evaluations = Evaluations(
        task=means["task"].to_numpy(np.int32),
        config=means["config"].to_numpy(np.int32),
        budget=np.ones(len(means)),
        loss=means["loss"].to_numpy(np.float64),
        test_loss=unknown,
        seconds=unknown,
    )
    card = Card(
        name=space.name,
        about=f"runs of OpenML flow {flows[0]}: {metric}",
        space=space.name,
        space_version=space.version,
        datasets=tuple(
            Dataset(str(task), str(data), origin=f"OpenML task {task}, dataset {data}", metric=metric)
            for task, data in tasks[["task_id", "data_id"]].itertuples(index=False)
        ),
    )
    return Collection(card, space, configs, evaluations)


def _space(name: str, frame: pd.DataFrame, leave_out: Group[str]) -> tuple[Space, tuple[Config, ...], dict[int, int]]:
    """The space of the setups, their different configs, and which of them each setup is."""
    setups = frame.drop_duplicates("setup_id")
    given = [p if isinstance(p, Mapping) else {} for p in setups["parameters"]]
    names = _short_names(given)
    listed = pd.DataFrame(
        [{f":{names[k]}": _text(v) for k, v in p.items() if _OWNER.sub("", k) not in leave_out} for p in given]
    ).assign(algorithm=_FLOW)
    columns = [c for c in listed if c != "algorithm"]
    branch = Space(name, branches({_FLOW: dict.fromkeys(columns, ())}, listed))
    if len(branch) == 1:
        raise ModelError(f"the runs of {name} must differ in a hyperparameter; all {len(setups)} setups are alike")
    own = [replace(p, name=p.name.removeprefix(_PREFIX), when=_own(p.when)) for p in branch.parameters[1:]]
    places: dict[tuple[Any, ...], int] = {}
    place = {}
    for setup, row in zip(setups["setup_id"], listed.to_dict("records"), strict=True):
        _, *items = branch_config(branch, row).items()
        config = tuple((k.removeprefix(_PREFIX), v) for k, v in items)
        place[setup] = places.setdefault(config, len(places))
    return Space(name, tuple(own)), tuple(dict(items) for items in places), place


def _own(when: Condition | None) -> Condition | None:
    """The condition without the algorithm, which is always the flow."""
    return None if when is None or when[0] == "algorithm" else (when[0].removeprefix(_PREFIX), when[1])


def _short_names(given: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Names without the flow that they belong to, where no other part of it has one of the same name."""
    short = {name: _OWNER.sub("", name) for name in sorted({name for p in given for name in p})}
    shared = Counter(short.values())
    return {name: own if shared[own] == 1 else name for name, own in short.items()}


def _text(value: Any) -> str | None:
    """A value as it was uploaded: numbers in one spelling, words without the quotes of json; None where not given."""
    text = "" if value is None else str(value).strip().strip('"')
    if text.lower() in MISSING:
        return None
    try:
        number = float(text)
    except ValueError:
        return text
    return f"{number:.12g}" if math.isfinite(number) else None
