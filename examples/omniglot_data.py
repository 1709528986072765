"""Omniglot (Lake et al. 2015): handwritten characters, split by alphabet, and episodes of them.

Shapes: C characters, n drawings of each, T episodes, w ways, k shots, q query images of a class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autometa.adaptation import Tasks
from autometa.errors import InputError

SIZE = 28  # pixels of a side
SPREAD = 0.1  # of the entries of a random affine map around those of the identity

# Drawings (C, n, 28, 28) by alphabet, uint8 with ink = 255.
Alphabets = dict[str, Tensor]


@dataclass(frozen=True)
class Split:
    """Characters by what they are for, no alphabet for two things; each uint8 (C, n, 28, 28), ink = 255.

    Attributes:
        train: with its quarter turns as characters of their own.
        validation: what settings are chosen on.
        test: what is reported.
    """

    train: Tensor
    validation: Tensor
    test: Tensor


def load(folder: Path) -> Split:
    """Omniglot from the folder of its authors, or else from the two small sets as ``.npz``.

    The second of every six background alphabets is for validation. Test alphabets are those of ``images_evaluation``,
    or those of the second small set that the first one lacks.

    Args:
        folder: with ``images_background`` and ``images_evaluation``, or with ``omniglot_small1.npz`` and
            ``omniglot_small2.npz`` (keys X, y, alphabet, alphabet_names).

    Raises:
        InputError: the folder holds neither, or a side of the split would be empty or share an alphabet.
    """
    if (folder / "images_background").is_dir():
        background = from_folder(folder / "images_background")
        test = from_folder(folder / "images_evaluation")
    elif (folder / "omniglot_small1.npz").is_file():
        background = from_npz(folder / "omniglot_small1.npz")
        known = {_plain(name) for name in background}
        test = {n: x for n, x in from_npz(folder / "omniglot_small2.npz").items() if _plain(n) not in known}
    else:
        raise InputError(
            f"the data folder holds images_background/ or omniglot_small1.npz; {folder} has neither: "
            "unpack Omniglot there, or name another folder by --data"
        )
    return split(background, test)


def split(background: Mapping[str, Tensor], test: Mapping[str, Tensor]) -> Split:
    """Hold every sixth background alphabet out, turn the others, and see to it that no alphabet is on two sides."""
    held_out = sorted(background)[1::6]
    sides = [[n for n in background if n not in held_out], held_out, list(test)]
    check_apart(sides)
    train, validation = (torch.cat([background[name] for name in side]) for side in sides[:2])
    turned = torch.cat([torch.rot90(train, turns, (2, 3)) for turns in range(4)])
    return Split(turned, validation, torch.cat(list(test.values())))


def check_apart(sides: Iterable[Iterable[str]]) -> None:
    """Raise InputError where a side has no alphabet or one that another side has too, however it is written."""
    seen: set[str] = set()
    for side in sides:
        names = {_plain(name) for name in side}
        if not names or names & seen:
            raise InputError(
                f"training, validation and test have alphabets of their own; one side has {sorted(names)}, "
                f"the ones before it {sorted(seen)}: give more alphabets, each in one part"
            )
        seen |= names


def from_npz(path: Path) -> Alphabets:
    """The characters of one of the small sets."""
    with np.load(path) as file:
        images, character, alphabet = (file[key] for key in ("X", "y", "alphabet"))
        names = [str(name) for name in file["alphabet_names"]]
    drawings: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for one in np.unique(character):
        mine = character == one
        drawings[names[alphabet[mine][0]]].append(images[mine])
    return {name: _stack(some, path) for name, some in drawings.items()}


def from_folder(folder: Path) -> Alphabets:
    """The characters under ``ALPHABET/characterNN/*.png``: dark ink on white, made smaller by averaging."""
    from PIL import Image

    def drawing(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            return 255 - np.asarray(image.convert("L").resize((SIZE, SIZE), Image.Resampling.BOX))

    found = {
        alphabet.name: _stack(
            [np.stack([drawing(p) for p in sorted(c.glob("*.png"))]) for c in sorted(alphabet.glob("character*"))],
            alphabet,
        )
        for alphabet in sorted(folder.iterdir())
        if alphabet.is_dir()
    }
    if not found:
        raise InputError(f"{folder} holds a folder for each alphabet; it has none: unpack Omniglot's images there")
    return found


def episodes(
    characters: Tensor, generator: torch.Generator, *, tasks: int, ways: int, shots: int, queries: int
) -> Tasks:
    """T few-shot tasks: support (T, w * k, 28, 28) with labels (T, w * k), query likewise with q; ink = 1.

    Raises:
        InputError: there are not enough characters, or drawings of each.
    """
    count, drawings = characters.shape[:2]
    if ways > count or shots + queries > drawings:
        raise InputError(
            f"an episode takes {ways} characters and {shots + queries} drawings of each; "
            f"there are {count} and {drawings}: ask for fewer"
        )
    chosen = torch.rand(tasks, count, generator=generator).argsort(dim=1)[:, :ways, None]
    drawn = torch.rand(tasks, ways, drawings, generator=generator).argsort(dim=2)
    labels = torch.arange(ways)

    def part(which: Tensor) -> tuple[Tensor, Tensor]:
        images = as_ink(characters[chosen, which]).flatten(1, 2)
        return images, labels.repeat_interleave(which.shape[2]).repeat(tasks, 1)

    return Tasks(part(drawn[..., :shots]), part(drawn[..., shots : shots + queries]))


def as_ink(images: Tensor) -> Tensor:
    """Bytes of any shape as floats, ink = 1."""
    return images.float() / 255


def distorted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (..., 28, 28), each through a random affine map near the identity, as other hands would draw it."""
    flat = images.reshape(-1, 1, SIZE, SIZE)
    maps = torch.eye(2, 3) + SPREAD * torch.randn(len(flat), 2, 3, generator=generator)
    grid = functional.affine_grid(maps, list(flat.shape), align_corners=False)
    return functional.grid_sample(flat, grid, align_corners=False).reshape(images.shape)


def _plain(name: str) -> str:
    return name.strip().casefold()


def _stack(characters: list[np.ndarray], origin: Path) -> Tensor:
    counts = sorted({len(drawings) for drawings in characters})
    if len(counts) != 1 or 0 in counts:
        raise InputError(
            f"all characters have the same number of drawings, at least one; {origin} has {counts or 'no character'}: "
            "complete it, or leave it out"
        )
    return torch.from_numpy(np.stack(characters))
