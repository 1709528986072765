"""`autometa meta-train --part policy`: from recorded tasks and synthetic ones to a checkpoint with a card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from autometa import __version__
from autometa.errors import InputError, ModelError
from autometa.metatrain.material import FAMILIES, Material
from autometa.metatrain.process_training import Settings, meta_train
from autometa.policies.learned_process import LearnedProcess

if TYPE_CHECKING:
    from autometa.adaptation import Progress

TRAINING = ".training"  # what the file beside the checkpoint ends with that a killed training goes on from
VALIDATIONS = 20  # of a training; between two of them nothing is saved


@dataclass(frozen=True)
class Recipe:
    """What the policy is meta-trained on, and how.

    Attributes:
        data: folders of recorded tasks, or of several such folders; none where all tasks are synthetic.
        out: the checkpoint.
        exclude: names of tasks, datasets, families or tables to leave out.
        synthetic: share of the batches that are of synthetic tasks.
        families: of synthetic tasks.
        time_limit: seconds of training, those before a kill counted; None for no limit.
        settings: of the training.
    """

    data: Sequence[Path]
    out: Path
    exclude: Sequence[str] = ()
    synthetic: float = 0.25
    families: int = FAMILIES
    time_limit: float | None = None
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if not 0.0 <= self.synthetic <= 1.0:
            raise InputError(f"the share of synthetic tasks is between 0 and 1; got {self.synthetic:g}")
        if not self.data and self.synthetic < 1.0:
            raise InputError(
                "recorded tasks are needed where the share of synthetic ones is below 1; got no --data and a share of "
                f"{self.synthetic:g}: name folders, or give --synthetic 1"
            )
        _check_writable(self.out)


def train_policy(recipe: Recipe, *, say: Callable[[str], None]) -> LearnedProcess:
    """Meta-train and write the checkpoint; started again after a kill, it goes on.

    Args:
        recipe: what and how.
        say: is told how it goes.

    Raises:
        InputError: nothing to learn from or to validate on.
        ModelError: a folder cannot be read, or a training of another recipe was stopped at the same ``out``.
    """
    settings = recipe.settings
    material = Material.gather(
        recipe.data,
        exclude=recipe.exclude,
        synthetic=recipe.synthetic,
        families=recipe.families,
        seed=settings.seed,
        say=say,
    )
    training = recipe.out.with_name(recipe.out.name + TRAINING)
    if training.exists():
        say(f"going on with {training}")

    def card(progress: Progress) -> Mapping[str, Any]:
        return {
            "part": "policy",
            "algorithm": settings.algorithm,
            "settings": asdict(settings),
            "steps": progress.step,
            "seconds": round(progress.seconds, 1),
            "validation": {
                "measure": f"mean regret of trials 1-{material.validate.trials}, the process alone",
                "regret": progress.best,
                "tasks": len(material.validate.targets),
            },
            "versions": {"autometa": __version__, "torch": str(torch.__version__)},
            **material.about,
        }

    process = meta_train(
        material.sources,
        settings,
        validate=material.validate,
        shares=material.shares,
        checkpoint=training,
        watch=lambda progress: say(str(progress)),
        time_limit=recipe.time_limit,
        card=card,
    )
    process.save(recipe.out)
    training.unlink(missing_ok=True)
    return process


def read_exclusions(file: Path) -> list[str]:
    """Names in a file, one in a line; # begins a remark.

    Raises:
        InputError: it cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--exclude is a text file with a name in each line; {file} cannot be read: {error}") from None
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def _check_writable(out: Path) -> None:
    if not out.parent.is_dir():
        raise InputError(f"the folder of --out must be there; {out.parent} is not: make it, or name another")
    if out.exists():
        try:
            LearnedProcess.load(out)
        except ModelError as error:
            raise InputError(
                f"--out is a new file, or a policy's checkpoint to be replaced; {out} is neither ({error}): "
                "name another file"
            ) from None
