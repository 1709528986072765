"""How fitted parts are kept: plain settings and plain arrays in a folder, and nothing that can run.

A folder holds `state.json` (settings, and the checksum of the arrays) and `arrays.safetensors`.
Both formats hold values only; reading them never imports, evaluates or unpickles anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError

FORMAT = 1
SETTINGS, ARRAYS = "state.json", "arrays.safetensors"
LARGEST_SETTINGS = 64 * 2**20
T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """What a fitted part is made of.

    Attributes:
        settings: JSON values.
        arrays: name to array, any shape.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def array(self, name: str, kind: type[np.generic], *shape: int | None) -> NDArray[Any]:
        """The named array, checked.

        Args:
            name: its name.
            kind: the type of its values.
            *shape: expected lengths, None for any length.

        Raises:
            ModelError: it is absent, of another type or shape, or holds values that are not finite.
        """
        found = self.arrays.get(name)
        if found is None:
            raise ModelError(f"the array {name!r} is missing from the saved model; save it again")
        fits = len(found.shape) == len(shape) and all(
            want is None or want == have for want, have in zip(shape, found.shape, strict=True)
        )
        if found.dtype != kind or not fits:
            raise ModelError(
                f"the array {name!r} must be {np.dtype(kind)} of shape {shape}; the saved model holds "
                f"{found.dtype} of shape {found.shape}; save it again"
            )
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise ModelError(f"the array {name!r} must be finite; the saved model is damaged, save it again")
        return found

    def part(self, prefix: str) -> State:
        """The part that :meth:`joined` put under the prefix."""
        settings = self.settings.get(prefix)
        if not isinstance(settings, dict):
            raise ModelError(f"the part {prefix!r} is missing from the saved model; save it again")
        start = f"{prefix}/"
        return State(
            settings,
            {name.removeprefix(start): value for name, value in self.arrays.items() if name.startswith(start)},
        )

    @classmethod
    def joined(cls, parts: Mapping[str, State], **settings: Any) -> State:
        """One state of several parts, each under its prefix, with settings of its own."""
        return cls(
            {**settings, **{prefix: dict(part.settings) for prefix, part in parts.items()}},
            {f"{prefix}/{name}": value for prefix, part in parts.items() for name, value in part.arrays.items()},
        )


def save_state(state: State, folder: Path) -> None:
    """Write the state so that the folder is whole or absent, whenever the process is killed."""
    from safetensors.numpy import save

    arrays = save({name: np.asarray(value, order="C") for name, value in state.arrays.items()})
    document = {"format": FORMAT, "sha256": hashlib.sha256(arrays).hexdigest(), "settings": state.settings}
    beside = folder.with_name(f"new-{os.getpid()}-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    (beside / ARRAYS).write_bytes(arrays)
    (beside / SETTINGS).write_text(json.dumps(document), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    beside.rename(folder)


def load_state(folder: Path) -> State:
    """Read what :func:`save_state` wrote.

    Raises:
        ModelError: the folder is absent, holds anything else, or was damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not folder.is_dir():
        raise ModelError(f"a saved model is a folder; there is none at {folder}")
    foreign = sorted({path.name for path in folder.iterdir()} ^ {SETTINGS, ARRAYS})
    if foreign:
        raise ModelError(
            f"a saved model holds {SETTINGS} and {ARRAYS} and nothing else; {folder} differs in {foreign[:5]}; "
            "take a folder that autometa wrote"
        )
    try:
        if (folder / SETTINGS).stat().st_size > LARGEST_SETTINGS:
            raise ModelError(f"{SETTINGS} in {folder} is larger than any that autometa writes; save the model again")
        document = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        content = (folder / ARRAYS).read_bytes()
        if document["format"] != FORMAT:
            raise ModelError(
                f"this version reads models of format {FORMAT}; {folder} has {document['format']!r}; "
                "use the version that wrote it"
            )
        if document["sha256"] != hashlib.sha256(content).hexdigest():
            raise ModelError(f"{ARRAYS} in {folder} is not the file that was written; save the model again")
        settings = document["settings"]
        if not isinstance(settings, dict):
            raise TypeError("settings must be a table")
        return State(settings, load(content))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise ModelError(f"the saved model in {folder} cannot be read ({error}); save it again") from error


def checked(build: Callable[[], T]) -> T:
    """Build something from a state; what does not fit together is a :class:`ModelError`."""
    try:
        return build()
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise ModelError(f"the saved model does not fit together ({error}); save it again") from error
