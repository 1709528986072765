"""The journal survives a kill at any byte of any write."""

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from autometa.errors import RunError
from autometa.search.journal import STUDY, Journal, Place, cut_torn_tail
from autometa.search.records import FoldScore, TrialRecord
from autometa.space import Space

SPACE = Space.load("tabular")


def record(number):
    return TrialRecord(number, SPACE.sample(np.random.default_rng(number)), "random", 2)


def finished(number, stage="complete"):
    r = record(number)
    r.folds = {0: FoldScore(0.25, 1.0, 0.1, 7, 200.0), 1: FoldScore(0.75, 2.0)}
    r.stage, r.elapsed = stage, 2.0 + number
    return r


def test_what_is_written_is_read_back(tmp_path):
    journal = Journal(Place(tmp_path / "journal.log"), SPACE, first_folds=2)
    for number, stage in enumerate(("complete", "pruned", "failed")):
        journal.propose(record(number), elapsed=1.0)
        journal.finish(finished(number, stage))
    journal.propose(record(3), elapsed=9.0)
    again, elapsed = Journal(Place(tmp_path / "journal.log"), SPACE, first_folds=2).read()
    assert elapsed == 9.0
    assert [r.stage for r in again] == ["complete", "pruned", "failed", "running"]
    assert again[0] == finished(0)
    assert again[0].loss == 0.5
    assert again[3] == record(3)


def test_a_kill_at_any_byte_loses_no_finished_trial(tmp_path):
    path = tmp_path / "journal.log"
    journal = Journal(Place(path), SPACE, first_folds=2)
    ends = [path.stat().st_size]
    for number in range(3):
        journal.propose(record(number), elapsed=0.0)
        journal.finish(finished(number))
        ends.append(path.stat().st_size)
    whole = path.read_bytes()
    start = ends[0]
    for cut in range(start, len(whole), 97):
        torn = tmp_path / f"torn{cut}.log"
        torn.write_bytes(whole[:cut])
        (tmp_path / f"torn{cut}.log.lock").write_text("left behind")
        journal = Journal(Place(torn), SPACE, first_folds=2)
        records, _ = journal.read()
        done = [r for r in records if r.stage == "complete"]
        assert len(done) >= sum(end <= cut for end in ends[1:])
        assert all(r == finished(r.number) for r in done)
        # Whatever was cut off, the next write leaves a readable file.
        for r in records:
            if r.stage == "running":
                journal.finish(finished(r.number))
        journal.propose(record(len(records)), elapsed=1.0)
        again, _ = Journal(Place(torn), SPACE, first_folds=2).read()
        assert len(again) == len(records) + 1


def test_optuna_reads_the_journal(tmp_path):
    path = tmp_path / "journal.log"
    journal = Journal(Place(path), SPACE, first_folds=2)
    journal.propose(record(0), elapsed=0.0)
    journal.finish(finished(0))
    study = optuna.load_study(study_name=STUDY, storage=JournalStorage(JournalFileBackend(str(path))))
    assert study.best_value == 0.5
    assert study.best_params == dict(record(0).config)


def test_cutting_a_torn_tail(tmp_path):
    path = tmp_path / "f"
    for content, kept in ((b"", b""), (b"a\nb\n", b"a\nb\n"), (b"a\nb", b"a\n"), (b"ab", b"")):
        path.write_bytes(content)
        cut_torn_tail(path)
        assert path.read_bytes() == kept
    cut_torn_tail(tmp_path / "absent")


def test_a_damaged_journal_is_refused(tmp_path):
    path = tmp_path / "journal.log"
    Journal(Place(path), SPACE, first_folds=2)
    path.write_bytes(b"not json\n" + path.read_bytes())
    with pytest.raises(RunError, match="damaged"):
        Journal(Place(path), SPACE, first_folds=2)
