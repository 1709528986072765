"""Optuna studies as tasks: their space, told from the trials, conditions included; their losses, lower is better.

A study has no space of its own: a hyperparameter is there in a trial or not. One that is there in every complete
trial is always active; one that is there in some depends on the categorical one whose value tells in which.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autometa.errors import InputError, SpaceError
from autometa.parameters import Categorical, Float, Parameter, Value
from autometa.records.lessons import Lesson, digest
from autometa.space import Space
from autometa.tables.findings import listed
from autometa.task import Task, Trial

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

SQLITE = b"SQLite format 3\0"


def lessons_of_studies(source: str, *, say: Callable[[str], None]) -> list[Lesson]:
    """The studies of a storage as tasks. Nothing is written to it.

    Args:
        source: a storage URL such as sqlite:///study.db, or the path of a journal file; with `#NAME` for one study.
        say: is told which studies and hyperparameters are left out.

    Raises:
        InputError: there is no such storage or study, or no study with anything to learn from.
    """
    place, wanted = (source, "") if Path(source).is_file() else _parted(source)
    with _read(place) as storage:
        import optuna

        names = optuna.get_all_study_names(storage)
        if wanted and wanted not in names:
            raise InputError(f"a study is one of its storage's, {listed(names)}; {_shown(place)} has no {wanted!r}")
        studies = [optuna.load_study(storage=storage, study_name=name) for name in ([wanted] if wanted else names)]
        reasons = {study.study_name: _unfit(study) for study in studies}
        left_out = [f"{name!r}: {reason}" for name, reason in reasons.items() if reason]
        if len(left_out) == len(studies):
            raise InputError(f"there must be a study to learn from in {_shown(place)}; {'; '.join(left_out) or 'none'}")
        for reason in left_out:
            say(f"left out: study {reason}")
        return [_lesson(study, say) for study in studies if not reasons[study.study_name]]


def _parted(source: str) -> tuple[str, str]:
    place, _, name = source.partition("#")
    return place, name


def _shown(place: str) -> str:
    """A storage for messages, without a password."""
    if "://" not in place:
        return place
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(place).render_as_string(hide_password=True)
    except ArgumentError:
        return place


@contextmanager
def _read(place: str) -> Iterator[optuna.storages.BaseStorage]:
    """A storage that exists; whatever it fails with is told as an unreadable storage."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(logging.WARNING)
    try:
        yield _storage(place)
    except InputError:
        raise
    except (
        *(SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, OSError),
        *(RuntimeError, ValueError, KeyError, AssertionError, TypeError),
    ) as error:
        raise InputError(f"a storage must be readable by Optuna; {_shown(place)} is not: {error}") from error


def _storage(place: str) -> optuna.storages.BaseStorage:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if "://" in place:
        from sqlalchemy.engine import make_url

        url = make_url(place)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():  # it would be made
            raise InputError(f"the database of a study must exist; there is no file {url.database!r}")
        return RDBStorage(place, skip_table_creation=True)
    path = Path(place).expanduser()
    if not path.is_file():
        raise InputError(
            f"what is learned from is a run folder, a journal file of Optuna or a storage URL such as "
            f"sqlite:///study.db; {place!r} is none"
        )
    with path.open("rb") as handle:
        if handle.read(len(SQLITE)) == SQLITE:
            raise InputError(f"a database is named by its URL; {place!r} is one: write sqlite:///{place}")
    return JournalStorage(JournalFileBackend(str(path)))


def _unfit(study: optuna.Study) -> str:
    """Why nothing can be learned from a study; empty where something can."""
    from optuna.trial import TrialState

    if len(study.directions) > 1:
        return f"a task has one objective, it has {len(study.directions)}"
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not any(trial.params for trial in complete):
        return "it has no complete trial with a hyperparameter"
    try:
        space, _ = space_of_trials(complete)
    except SpaceError as error:
        return str(error)
    return "" if len(space) else "nothing tells in which trials its hyperparameters are there"


def _lesson(study: optuna.Study, say: Callable[[str], None]) -> Lesson:
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    space, unclear = space_of_trials(complete)
    if unclear:
        say(f"left out of study {study.study_name!r}: {listed(unclear)}, there in trials that nothing else tells apart")
    sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
    steps = max((len(t.intermediate_values) for t in complete), default=0)
    history = [_trial(t, space, sign, steps) for t in trials if t.state.is_finished()]
    begun = min(t.datetime_start for t in trials if t.datetime_start is not None)
    name = f"study-{digest(repr((study.study_name, begun.isoformat())))}"
    return Lesson(Task(name, space, tuple(t for t in history if space.has(t.config))))


def _trial(trial: FrozenTrial, space: Space, sign: float, steps: int) -> Trial:
    """A finished trial; the budget of one that was pruned is its share of the steps of whole ones."""
    from optuna.trial import TrialState

    reports = tuple(sign * value for _, value in sorted(trial.intermediate_values.items()))
    state = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(trial.state, "failed")
    loss = sign * trial.value if state == "complete" and trial.value is not None else math.nan
    if state == "pruned" and reports:
        loss = reports[-1]
    begun, ended = trial.datetime_start, trial.datetime_complete
    return Trial(
        config={p.name: _cast(p, trial.params[p.name]) for p in space if p.name in trial.params},
        state=state,  # type: ignore[arg-type]
        loss=loss,
        budget=min(1.0, len(reports) / steps) if state == "pruned" and reports and steps else 1.0,
        seconds=(ended - begun).total_seconds() if begun and ended else math.nan,
        curve=reports,
    )


def _cast(p: Parameter, value: Any) -> Value:
    """A value as the space has it: a step's rounding is undone."""
    if isinstance(p, Float):
        return p.tidy(value)
    if isinstance(p, Categorical) and not p.holds(value) and isinstance(value, int | float):
        numbers = [c for c in p.choices if isinstance(c, int | float)]
        return min(numbers, key=lambda c: abs(c - value), default=value)
    return value  # type: ignore[no-any-return]


def space_of_trials(trials: Sequence[FrozenTrial]) -> tuple[Space, list[str]]:
    """The space of a study, and the hyperparameters that are left out of it.

    Args:
        trials: complete ones, at least one.

    Raises:
        SpaceError: a choice is not a bool, number or string.
    """
    merged: dict[str, BaseDistribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            merged[name] = distribution if name not in merged else _union(merged[name], distribution)
    left = {p.name: p for p in Space.from_optuna(merged)}
    placed = [p for p in left.values() if all(p.name in t.params for t in trials)]
    fresh: Sequence[Parameter] = placed
    while fresh:
        for p in fresh:
            del left[p.name]
        fresh = [conditional for p in left.values() if (conditional := _under(p, placed, trials))]
        placed = [*placed, *fresh]
    return Space("", tuple(placed)), sorted(left)


def _under(p: Parameter, placed: Sequence[Parameter], trials: Sequence[FrozenTrial]) -> Parameter | None:
    """A hyperparameter with the condition that tells in which trials it is; None where no single one does."""
    for parent in placed:
        if not isinstance(parent, Categorical):
            continue
        there = [t.params.get(parent.name) for t in trials if p.name in t.params]
        values = tuple(c for c in parent.choices if any(type(v) is type(c) and v == c for v in there))
        when = replace(p, when=(parent.name, values))
        if values and all((p.name in t.params) == (t.params.get(parent.name) in values) for t in trials):
            return when
    return None


def _union(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """The smallest range that holds two; where they differ, without a step."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one == other or isinstance(one, CategoricalDistribution):
        return one
    if isinstance(one, IntDistribution) and isinstance(other, IntDistribution):
        return IntDistribution(min(one.low, other.low), max(one.high, other.high), log=one.log and other.log)
    assert isinstance(one, FloatDistribution)  # Optuna keeps the kind of a hyperparameter
    assert isinstance(other, FloatDistribution)
    return FloatDistribution(min(one.low, other.low), max(one.high, other.high), log=one.log and other.log)
