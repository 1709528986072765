"""The last steps of a run: the final ensemble, the score on labelled test data, the report."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING

from autometa.errors import InputError, RunError
from autometa.search.evidence import collect_evidence
from autometa.search.learning import learn_from
from autometa.search.report import write_report
from autometa.tables.findings import listed
from autometa.tables.leaks import shared_rows
from autometa.tables.reading import read_table
from autometa.tables.side_columns import sample_weights

if TYPE_CHECKING:
    from autometa.search.run import Run
    from autometa.tables.model import Model

EVIDENCE_SECONDS = 2.0  # for a run without a time limit


def load_libraries() -> None:
    """Import, beside the search, what the final model needs to predict in this process: it takes seconds."""

    def load() -> None:
        for name in ("lightgbm", "catboost", "torch", "sklearn.tree", "xgboost"):
            with contextlib.suppress(ImportError):
                import_module(name)

    threading.Thread(target=load, daemon=True).start()


def finish(run: Run, *, report: bool) -> None:
    """Write everything that people and programs read of a finished run.

    Raises:
        RunError: no trial gave a model.
    """
    run.watcher.update(run.status((), phase="finishing"))
    best = run.best.best
    if best is None:
        run.write_tables()
        reasons = sorted({r.error for r in run.board.records if r.error})
        raise RunError(
            f"no trial gave a model in the time and memory granted; give more of either. "
            f"{len(run.board.records)} tried: {'; '.join(reasons[:3]) or 'none was finished'}"
        )
    model = run.best.write(run.folder, run.board.records, run.schema, run.codec)
    test_loss = _test_loss(run, model)
    run.write_tables(test_loss=test_loss)
    learn_from(run)
    if report:
        _report(run, model)
    run.folder.drop_work()
    run.watcher.update(run.status((), phase="done"))


def _report(run: Run, model: Model) -> None:
    best = run.best.best
    assert best is not None
    left = run.clock.left - 0.5
    seconds = EVIDENCE_SECONDS if math.isinf(left) else max(0.0, left)
    if not model.read_until(time.monotonic() + seconds / 2):
        seconds = 0.0  # no time for anything that needs predictions
    evidence = collect_evidence(
        run.table,
        best.rows,
        best.predictions,
        best.touch.threshold,
        model.predict_features,
        run.metric,
        seconds=seconds,
        seed=run.settings.seed,
        origins=run.schema.number_origins,
    )
    run.folder.write_json(run.folder.evidence, evidence | {"data": run.content["data"]})
    write_report(run.folder)


def _test_loss(run: Run, model: Model) -> float | None:
    if run.settings.test is None:
        return None
    frame = read_table(run.settings.test, memory_bytes=run.settings.memory).frame
    name = run.content["target_name"]
    if name not in frame:
        raise InputError(f"--test must hold the target {name!r}; it has {listed(frame.columns)}")
    target = run.codec.encode_known(frame[name])
    features, findings = model.schema.encode(frame[target.known])
    predictions = model.predict_features(features)
    for finding in (*target.findings, *findings, *shared_rows(run.table.features, features)):
        run.watcher.warn(finding)
    weight = run.settings.weight
    weights = sample_weights(frame[weight])[target.known] if weight in frame else None
    return run.metric.loss(target.values[target.known], predictions, weights, threshold=model.touch.threshold)
