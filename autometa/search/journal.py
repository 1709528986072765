"""The trials of a run in an Optuna study on journal storage or in a database, safe against a kill at any moment.

One process owns the journal (it holds the lock of the run folder), so Optuna's own lock, which a killed process
leaves behind and the next one waits 30 seconds for, is not used. A kill in the middle of a write leaves a torn last
line, which reads once and breaks the file at the next append: opening cuts it off. A database looks after that
itself. A trial is stored when it is proposed and again, in one step, when it is finished; one that was not finished
is found RUNNING and is run again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState, create_trial

from autometa.errors import RunError
from autometa.search.database import open_database, telling
from autometa.search.records import TrialRecord
from autometa.tables.whole_files import cut_torn_tail

if TYPE_CHECKING:
    from autometa.search.run_folder import RunFolder
    from autometa.space import Space

STUDY = "autometa"

_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class _Owned(JournalFileOpenLock):
    """No lock: the run folder's own already keeps every other writer out."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


@dataclass(frozen=True)
class Place:
    """Where the trials of a run are.

    Attributes:
        storage: journal.log, or the URL of a database.
        study: the name of the run's study there.
    """

    storage: Path | str
    study: str = STUDY

    @classmethod
    def of(cls, folder: RunFolder, content: Mapping[str, Any]) -> Place:
        """Of a run, by its run.json."""
        url = content["settings"].get("storage")
        return cls(url or folder.journal, content.get("study", STUDY))

    def opened(self, *, new_tables: bool = False) -> BaseStorage:
        """The storage itself.

        Args:
            new_tables: whether a database that has none gets Optuna's tables.

        Raises:
            RunError: it cannot be read.
        """
        if isinstance(self.storage, str):
            return open_database(self.storage, new_tables=new_tables)
        return JournalStorage(JournalFileBackend(str(self.storage), lock_obj=_Owned(str(self.storage))))


class Journal:
    """The study of a run.

    Args:
        place: where it is; made if it is not there.
        space: gives each trial its Optuna distributions.
        first_folds: folds of the first repeat, for the records read back.

    Raises:
        RunError: the file is damaged before its last line, or the database cannot be used.
    """

    def __init__(self, place: Place, space: Space, *, first_folds: int) -> None:
        optuna.logging.set_verbosity(logging.WARNING)
        self._space = space
        self._first_folds = first_folds
        self._telling = telling if isinstance(place.storage, str) else contextlib.nullcontext
        if isinstance(place.storage, Path):
            place.storage.with_name(place.storage.name + ".lock").unlink(missing_ok=True)
            cut_torn_tail(place.storage)
        try:
            self._storage = place.opened(new_tables=True)
            self._study = optuna.create_study(
                storage=self._storage, study_name=place.study, direction="minimize", load_if_exists=True
            )
        except (ValueError, KeyError, AssertionError) as error:
            raise RunError(f"{place.storage} is damaged ({error}); start a new search") from error

    def propose(self, record: TrialRecord, *, elapsed: float) -> None:
        """Store a trial as running. Its number must be the next one."""
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(record.config),
            distributions=self._space.distributions(record.config),
            user_attrs={"source": record.source, "elapsed": elapsed},
        )
        with self._telling():
            self._study.add_trial(trial)

    def finish(self, record: TrialRecord) -> None:
        """Store the outcome of a running trial."""
        state = _STATES[record.stage]
        values = [record.loss] if state == TrialState.COMPLETE else None
        with self._telling():
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(
                self._study._study_id,  # noqa: SLF001 (the storage speaks in ids)
                record.number,
            )
            self._storage.set_trial_user_attr(trial_id, "result", record.to_json())
            self._storage.set_trial_state_values(trial_id, state, values)

    def read(self) -> tuple[list[TrialRecord], float]:
        """All records in order of proposal, and the seconds that had passed at the last entry."""
        with self._telling():
            return _records(self._study, self._first_folds)


def read_records(place: Place, *, first_folds: int) -> list[TrialRecord]:
    """The records of a run that is over, in order of proposal; nothing is written.

    Raises:
        RunError: the file or database is missing or damaged.
    """
    optuna.logging.set_verbosity(logging.WARNING)
    path = place.storage
    if isinstance(path, Path) and not path.is_file():
        raise RunError(f"the trials of a run are in its {path.name}; there is no {path}")
    try:
        return _records(optuna.load_study(storage=place.opened(), study_name=place.study), first_folds)[0]
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise RunError(f"{path} is damaged ({error}); its trials cannot be read") from error


def _records(study: optuna.Study, first_folds: int) -> tuple[list[TrialRecord], float]:
    records, elapsed = [], 0.0
    for trial in study.get_trials(deepcopy=False):
        attrs: dict[str, Any] = trial.user_attrs
        record = TrialRecord(trial.number, trial.params, attrs["source"], first_folds)
        elapsed = max(elapsed, attrs["elapsed"])
        if trial.state.is_finished():
            record.restore(attrs["result"])
            elapsed = max(elapsed, record.elapsed)
        records.append(record)
    return records, elapsed
