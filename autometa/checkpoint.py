"""Learned tensors with what must be known to use them, in one file: safetensors, never pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autometa.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A learned thing on disk.

    Attributes:
        kind: what it is a checkpoint of, such as "adaptation".
        tensors: by name.
        settings: what is needed to build the thing around its tensors, as plain values.
        card: where it comes from: data, splits, seeds, versions, measured quality. Plain values, for people.
    """

    kind: str
    tensors: Mapping[str, Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write one file; whoever reads meanwhile sees the old one or the new one, whole."""
        from safetensors.torch import save

        head = {"format": FORMAT, "kind": self.kind, "settings": dict(self.settings), "card": dict(self.card)}
        tensors = {name: t.detach().cpu().contiguous().clone() for name, t in self.tensors.items()}
        beside = path.with_name(path.name + ".tmp")
        with beside.open("wb") as handle:
            handle.write(save(tensors, metadata={"autometa": json.dumps(head)}))
            handle.flush()
            os.fsync(handle.fileno())
        beside.replace(path)

    @classmethod
    def load(cls, path: Path, kind: str) -> Checkpoint:
        """Read what :meth:`save` wrote.

        Raises:
            ModelError: there is no such file, it is damaged, of another kind, or of another format.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                head = json.loads((file.metadata() or {})["autometa"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise ModelError(f"{path} is no checkpoint of autometa that can be read ({error}); make it anew") from error
        if head["format"] != FORMAT:
            raise ModelError(
                f"{path} has format {head['format']}, this autometa reads format {FORMAT}: "
                "use the version that wrote it, or make it anew"
            )
        if head["kind"] != kind:
            raise ModelError(f"a checkpoint of kind {kind!r} is needed; {path} is of kind {head['kind']!r}")
        return cls(head["kind"], tensors, head["settings"], head["card"])
