"""Learned tensors with what must be known to use them, in one file: safetensors, never pickle."""

from __future__ import annotations

import hashlib
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
        kind: what it is a checkpoint of, such as "meta-training".
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

        tensors = {name: t.detach().cpu().contiguous().clone() for name, t in self.tensors.items()}
        head = {
            "format": FORMAT,
            "kind": self.kind,
            "settings": dict(self.settings),
            "card": dict(self.card),
            "sha256": _sha256(tensors),
        }
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
                # Copies: what is read stays mapped to the file, which the next save replaces.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a dict)
            form, found = head["format"], cls(head["kind"], tensors, head["settings"], head["card"])
            whole = form != FORMAT or head["sha256"] == _sha256(tensors)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path} is no checkpoint of autometa that can be read ({error}); make it anew") from error
        if form != FORMAT:
            raise ModelError(
                f"{path} has format {form}, this autometa reads format {FORMAT}: "
                "use the version that wrote it, or make it anew"
            )
        if not whole:
            raise ModelError(f"{path} is damaged: its tensors are not those of its checksum; make it anew")
        if found.kind != kind:
            raise ModelError(f"a checkpoint of kind {kind!r} is needed; {path} is of kind {found.kind!r}")
        return found


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        t = tensors[name]
        digest.update(f"{name} {t.dtype} {tuple(t.shape)}".encode())
        digest.update(t.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
