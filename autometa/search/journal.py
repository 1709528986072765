"""The trials of a run in an Optuna study on journal storage, safe against a kill at any moment.

One process owns the journal (it holds the lock of the run folder), so Optuna's own lock, which a
killed process leaves behind and the next one waits 30 seconds for, is not used. A kill in the middle
of a write leaves a torn last line, which reads once and breaks the file at the next append: opening
cuts it off. A trial is stored when it is proposed and again, in one step, when it is finished; one
that was not finished is found RUNNING and is run again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState, create_trial

from autometa.errors import RunError
from autometa.search.records import TrialRecord
from autometa.tables.whole_files import cut_torn_tail

if TYPE_CHECKING:
    from pathlib import Path

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


class Journal:
    """The study of a run.

    Args:
        path: journal.log; made if it is not there.
        space: gives each trial its Optuna distributions.
        first_folds: folds of the first repeat, for the records read back.

    Raises:
        RunError: the file is damaged before its last line.
    """

    def __init__(self, path: Path, space: Space, *, first_folds: int) -> None:
        optuna.logging.set_verbosity(logging.WARNING)
        self._space = space
        self._first_folds = first_folds
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        cut_torn_tail(path)
        try:
            self._storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_Owned(str(path))))
            self._study = optuna.create_study(
                storage=self._storage, study_name=STUDY, direction="minimize", load_if_exists=True
            )
        except (ValueError, KeyError, AssertionError) as error:
            raise RunError(f"{path} is damaged ({error}); start a new search") from error

    def propose(self, record: TrialRecord, *, elapsed: float) -> None:
        """Store a trial as running. Its number must be the next one."""
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(record.config),
            distributions=self._space.distributions(record.config),
            user_attrs={"source": record.source, "elapsed": elapsed},
        )
        self._study.add_trial(trial)

    def finish(self, record: TrialRecord) -> None:
        """Store the outcome of a running trial."""
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(
            self._study._study_id,  # noqa: SLF001 (the storage speaks in ids)
            record.number,
        )
        self._storage.set_trial_user_attr(trial_id, "result", record.to_json())
        state = _STATES[record.stage]
        values = [record.loss] if state == TrialState.COMPLETE else None
        self._storage.set_trial_state_values(trial_id, state, values)

    def read(self) -> tuple[list[TrialRecord], float]:
        """All records in order of proposal, and the seconds that had passed at the last entry."""
        return _records(self._study, self._first_folds)


def read_records(path: Path, *, first_folds: int) -> list[TrialRecord]:
    """The records of a run that is over, in order of proposal; nothing is written.

    Raises:
        RunError: the file is missing or damaged.
    """
    optuna.logging.set_verbosity(logging.WARNING)
    if not path.is_file():
        raise RunError(f"the trials of a run are in its {path.name}; there is no {path}")
    try:
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_Owned(str(path))))
        return _records(optuna.load_study(storage=storage, study_name=STUDY), first_folds)[0]
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
