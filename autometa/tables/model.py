"""The saved ensemble: what turns new rows into predictions, read without ever unpickling.

```
model/
  model.json                    schema, target, members and their weights, the last touch
  members/00012/fold_3/...      fitted fold models, see fold_model.py
```
`model.json` is replaced in one step and names every file it needs, so the folder is a whole model at
every moment, also while a search goes on improving it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autometa.errors import ModelError
from autometa.tables.calibration import Touch
from autometa.tables.fold_model import FoldModel
from autometa.tables.schema import Schema
from autometa.tables.target import TargetCodec
from autometa.tables.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from autometa.tables.findings import Finding
    from autometa.tables.table import Features

FORMAT = 1
GONE = "gone-"  # before the name of a fold model that is being removed
CHUNK = 50_000  # rows predicted at a time, to bound memory


@dataclass(frozen=True)
class Member:
    """One config of the ensemble: its weight, and its fitted fold models whose mean it predicts.

    Attributes:
        trial: number of the trial it came from.
        algorithm: the learner's name.
        weight: share in the ensemble.
        folds: folders of the fold models, relative to the model's folder.
    """

    trial: int
    algorithm: str
    weight: float
    folds: tuple[str, ...]


class Model:
    """A fitted ensemble.

    Args:
        folder: where the fold models are.
        schema: encodes raw columns.
        codec: decodes predictions.
        members: what is blended.
        touch: what is done to the blend.
    """

    def __init__(
        self,
        folder: Path,
        schema: Schema,
        codec: TargetCodec,
        members: tuple[Member, ...],
        touch: Touch,
    ) -> None:
        self.folder, self.schema, self.codec = folder, schema, codec
        self.members, self.touch = members, touch
        self._read: dict[str, FoldModel] = {}

    def _fold_model(self, name: str) -> FoldModel:
        if name not in self._read:
            self._read[name] = FoldModel.load(self.folder / name)
        return self._read[name]

    def read_until(self, deadline: float) -> bool:
        """Read fold models into memory until then, on the clock of :func:`time.monotonic`; whether it was enough."""
        for name in (f for m in self.members for f in m.folds):
            if time.monotonic() > deadline:
                return False
            self._fold_model(name)
        return True

    def loaded(self) -> Model:
        """The same with its fold models in memory, so that the folder is needed no more."""
        self.read_until(math.inf)
        return self

    def predict_features(self, features: Features) -> NDArray[np.floating]:
        """Calibrated probabilities (n, c), or values (n, 1), of encoded rows."""
        if len(features) <= CHUNK:
            return self._predict(features)
        starts = range(0, len(features), CHUNK)
        chunks = (np.arange(start, min(start + CHUNK, len(features))) for start in starts)
        return np.concatenate([self._predict(features.take(rows)) for rows in chunks])

    def _predict(self, features: Features) -> NDArray[np.floating]:
        blend: NDArray[np.floating] | None = None
        for member in self.members:
            for name in member.folds:
                part = self._fold_model(name).predict(features) * (member.weight / len(member.folds))
                blend = part if blend is None else blend + part
        assert blend is not None
        return self.touch.apply(blend) if self.codec.classes else blend

    def predict_raw(self, frame: pd.DataFrame) -> tuple[NDArray[np.floating], list[Finding]]:
        """The same for raw rows, with what was noticed about them.

        Raises:
            SchemaError: a column that the model needs is missing.
        """
        parts, findings = [], {}
        for start in range(0, max(1, len(frame)), CHUNK):
            features, found = self.schema.encode(frame.iloc[start : start + CHUNK])
            findings.update({(f.code, f.columns): f for f in found})
            parts.append(self._predict(features))
        return np.concatenate(parts), list(findings.values())

    def labels(self, predictions: NDArray[np.floating]) -> NDArray[np.generic]:
        """What is predicted: classes in their original form, or numbers, shape (n,)."""
        if not self.codec.classes:
            return predictions[:, 0]
        if self.touch.threshold is not None:
            codes = (predictions[:, 1] >= self.touch.threshold).astype(np.int64)
        else:
            codes = predictions.argmax(axis=1)
        return self.codec.decode(codes)

    def save(self, sources: dict[str, Path]) -> None:
        """Bring the members' fold models into the folder, then switch to them in one step.

        Args:
            sources: where each relative folder named by a member is now.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        needed = {f for m in self.members for f in m.folds}
        for name in sorted(needed):
            if not (self.folder / name).exists():
                _link_tree(sources[name], self.folder / name)
        content = {
            "format": FORMAT,
            "schema": self.schema.to_json(),
            "target": self.codec.to_json(),
            "members": [vars(m) for m in self.members],
            "touch": vars(self.touch),
        }
        write_whole(self.folder / "model.json", json.dumps(content))
        _drop_unneeded(self.folder / "members", {self.folder / n for n in needed})

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read a model. Its fold models are read when they are first used.

        Raises:
            ModelError: there is no model, it is damaged, or it is of a newer version.
        """
        try:
            content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ModelError(f"{folder} holds no model.json: no trial of this run has finished yet") from error
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder / 'model.json'} cannot be read: {error}") from error
        version = content.get("format") if isinstance(content, dict) else None
        if version != FORMAT:
            raise ModelError(
                f"this autometa reads models of format {FORMAT}; {folder} has {version}. Use the version that wrote it"
            )
        try:
            members = tuple(_member(m, folder) for m in content["members"])
            touch = Touch(**content["touch"])
            schema = Schema.from_json(content["schema"])
            codec = TargetCodec.from_json(content["target"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"{folder / 'model.json'} is damaged: {error!r}") from error
        return cls(folder, schema, codec, members, touch)


def _member(content: dict[str, Any], folder: Path) -> Member:
    folds = tuple(str(f) for f in content["folds"])
    for name in folds:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise ModelError(f"a fold model must lie inside the model's folder; got {name!r}")
    return Member(int(content["trial"]), str(content["algorithm"]), float(content["weight"]), folds)


def _link_tree(source: Path, goal: Path) -> None:
    """Hard links where the file system can, copies elsewhere; the goal appears in one step."""
    beside = goal.with_name("new-" + goal.name)
    shutil.rmtree(beside, ignore_errors=True)
    beside.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, beside, copy_function=_link)
    beside.replace(goal)


def _link(source: str, goal: str) -> None:
    try:
        os.link(source, goal)
    except OSError:
        shutil.copy2(source, goal)


def _drop_unneeded(members: Path, needed: Iterable[Path]) -> None:
    keep = set(needed)
    for trial in members.iterdir() if members.exists() else ():
        for fold in trial.iterdir():
            if fold not in keep:
                # In one step: half of a fold model would be taken for a whole one.
                gone = fold if fold.name.startswith(GONE) else fold.with_name(GONE + fold.name)
                with contextlib.suppress(OSError):
                    fold.replace(gone)
                shutil.rmtree(gone, ignore_errors=True)
        if not any(trial.iterdir()):
            trial.rmdir()
