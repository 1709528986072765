"""`autometa predict`: a run folder and a table in, a CSV of predictions out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pandas as pd

from autometa.errors import InputError
from autometa.search.api import load
from autometa.tables.reading import read_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from autometa.tables.findings import Finding


def predict_file(run: str, data: str, *, out: Path | None, proba: bool, warn: Callable[[Finding], None]) -> None:
    """Write one line per row, in order: ``prediction``, and ``proba_CLASS`` per class if asked for.

    Args:
        run: the run folder, or the address of a copy of it.
        data: csv, csv.gz, tsv or parquet, or "-".
        out: where to write; None for standard output.
        proba: whether to add the probabilities.
        warn: is told what was noticed about the rows.

    Raises:
        SchemaError: a column that the model needs is missing.
        InputError: the table cannot be read, or probabilities of a number are asked for.
    """
    model = load(run).model
    if proba and not model.codec.classes:
        raise InputError("--proba is for classes; this model predicts a number. Leave it out")
    raw = read_table(data)
    predictions, findings = model.predict_raw(raw.frame)
    for finding in (*raw.warnings, *findings):
        warn(finding)
    frame = pd.DataFrame({"prediction": model.labels(predictions)})
    if proba:
        for i, name in enumerate(model.codec.classes):
            frame[f"proba_{name}"] = predictions[:, i]
    if out is None:
        frame.to_csv(sys.stdout, index=False)
        return
    beside = out.with_name(out.name + ".tmp")
    try:
        frame.to_csv(beside, index=False)
        beside.replace(out)
    except OSError as error:
        raise InputError(f"the predictions cannot be written to {out}: {error.strerror}") from error
