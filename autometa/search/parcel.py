"""What travels between the search and a node: the table and folds there, a fold's files back."""

from __future__ import annotations

import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autometa.search.work import INPUTS, FitOutcome, fold_files, replace_file, write_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 1  # of the compression: models are text or floats, and the network is seldom the bottleneck


@dataclass(frozen=True)
class Parcel:
    """A fit's outcome and the files that it left.

    Attributes:
        outcome: of the fit.
        predictions: the compressed file of them; empty where the fit failed.
        model: compressed files of the model's folder by name.
    """

    outcome: FitOutcome
    predictions: bytes = b""
    model: dict[str, bytes] | None = None


def pack(outcome: FitOutcome, trial_folder: Path) -> Parcel:
    """Take a fit's files out of the folder it left them in."""
    model, predictions, score = fold_files(trial_folder, outcome.fold)
    if outcome.score is None:
        parcel = Parcel(outcome)
    else:
        files = {path.name: zlib.compress(path.read_bytes(), LEVEL) for path in sorted(model.iterdir())}
        parcel = Parcel(outcome, zlib.compress(predictions.read_bytes(), LEVEL), files)
    shutil.rmtree(model, ignore_errors=True)
    predictions.unlink(missing_ok=True)
    score.unlink(missing_ok=True)
    return parcel


def unpack(parcel: Parcel, trial_folder: Path) -> None:
    """Leave a fit's files where a worker of this machine would have, the score last."""
    score = parcel.outcome.score
    if score is None or parcel.model is None:
        return
    trial_folder.mkdir(parents=True, exist_ok=True)
    model, predictions, score_file = fold_files(trial_folder, parcel.outcome.fold)
    beside = model.with_name(f"new-{model.name}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    for name, content in parcel.model.items():
        (beside / name).write_bytes(zlib.decompress(content))
    shutil.rmtree(model, ignore_errors=True)
    beside.rename(model)
    replace_file(predictions, lambda path: path.write_bytes(zlib.decompress(parcel.predictions)))
    write_score(score_file, score)


def pack_inputs(work: Path) -> dict[str, NDArray[np.uint8]]:
    """The files of table and folds, as arrays, which the object store hands out without copying."""
    files = sorted(path for folder in INPUTS for path in (work / folder).iterdir())
    return {str(path.relative_to(work)): np.fromfile(path, np.uint8) for path in files}


def unpack_inputs(files: dict[str, NDArray[np.uint8]], work: Path) -> None:
    """Write table and folds into a folder."""
    for name, content in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content.tofile(path)
