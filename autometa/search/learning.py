"""`autometa learn`, and what each finished search leaves for later ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autometa.errors import InputError, RunError
from autometa.records.lessons import Lesson, digest, learn_into
from autometa.records.personal import keep, learning
from autometa.search.journal import Place, read_records
from autometa.search.records import LAST_RESORT, TrialRecord
from autometa.search.run_folder import RunFolder
from autometa.search.studies import lessons_of_studies
from autometa.space import Space
from autometa.tables.findings import Finding
from autometa.task import Task, Trial

if TYPE_CHECKING:
    from autometa.search.run import Run


def learn(sources: Sequence[str], into: Path | None = None, *, say: Callable[[str], None]) -> dict[Path, int]:
    """Take finished runs and Optuna studies as prior tasks; all of them, or none where one cannot be used.

    Args:
        sources: run folders, journal files of Optuna and storage URLs; `URL#NAME` for a single study.
        into: folder that gets a collection for each space; what it has already is replaced. None for the user's own.
        say: is told what is left out.

    Returns:
        How many tasks each collection that was added to has now.

    Raises:
        InputError: a source is neither, or has nothing to learn from.
        RunError: a run is not finished or damaged, or the folder cannot be written.
        ModelError: a collection in the folder is damaged.
    """
    lessons: dict[str, Lesson] = {}
    for source in sources:
        path = Path(source).expanduser()
        taught = [lesson_of_run(path)] if path.is_dir() else lessons_of_studies(source, say=say)
        lessons |= {lesson.task.name: lesson for lesson in taught}
    found = list(lessons.values())
    return keep(found) if into is None else learn_into(into, found)


def lesson_of_run(path: Path) -> Lesson:
    """A finished run as a task.

    Raises:
        InputError: none of its trials is complete.
        RunError: it is no run folder, one that is not finished, or a damaged one.
    """
    folder = RunFolder.open(path)
    if folder.work.exists() or not folder.metrics.exists():
        raise RunError(f"a run teaches when it is finished; {path} is not: autometa resume {path}")
    content = folder.read_run()
    try:
        lesson = _lesson(content, read_records(Place.of(folder, content), first_folds=content["plan"]["folds"]))
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder.run} lacks what a run must say of itself: {error}") from error
    if lesson.task.best is None:
        raise InputError(f"a run teaches by its complete trials; {path} has none: give it more time")
    return lesson


def learn_from(run: Run) -> None:
    """Let later searches learn from a run that is all but finished; what goes wrong is a warning."""
    if not (run.settings.learn and learning()):
        return
    try:
        lesson = _lesson(run.content, run.board.records)
        if lesson.task.best is not None:
            for folder in keep([lesson]):
                run.watcher.say(f"later searches can learn from this one, by numbers only: {folder} (off: --no-learn)")
    except Exception as error:  # noqa: BLE001 (whatever it is, the search itself has gone well)
        message = f"later searches will not learn from this one: {error}"
        run.watcher.warn(Finding("not-learned", message))


def _lesson(content: Mapping[str, Any], records: Sequence[TrialRecord]) -> Lesson:
    """A run as a task.

    Args:
        content: of run.json.
        records: its trials.
    """
    trials = tuple(_trial(r) for r in records if r.source != LAST_RESORT)
    space = _space(content["settings"]["space"], trials)
    # No two runs begin in the same microsecond with the same settings, and a resumed one keeps both.
    name = f"run-{digest(repr((content['started'], content['settings'])))}"
    features = content["features"] | content.get("meta_features", {})
    return Lesson(Task(name, space, trials, features), content["metric"], content["plan"]["folds"])


def _trial(record: TrialRecord) -> Trial:
    """A trial with the seconds of the folds that its loss is of, without repeats and refits."""
    folds = [record.folds[f] for f in range(record.first_folds) if f in record.folds]
    seconds = sum(f.seconds + f.predict_seconds for f in folds) if folds else math.nan
    return replace(record.as_trial(), seconds=seconds)


def _space(source: str, trials: Sequence[Trial]) -> Space:
    """The shipped space where it has all configs, so that runs on parts of it are learned together; else their own."""
    for space in (Space.load("tabular"), Space.load(source)):
        if all(space.has(t.config) for t in trials):
            return space
    raise RunError(f"the configs of a run must be of its space; {source} has changed since it was searched")
