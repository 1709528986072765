"""What a policy is meta-trained on: recorded tasks without those left out, and families of synthetic ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autometa.metatrain.synthetic_tasks import SyntheticFamily, prior_tasks
from autometa.metatrain.task_split import Split, read_twins
from autometa.metatrain.validation import ReplayedRegret, recorded_targets, synthetic_targets
from autometa.records.prior_tasks import FEWEST, PriorTasks
from autometa.records.reading import checksum, collection_folders, read_collection

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from autometa.records.collection import Collection
    from autometa.records.replay import Target

FAMILIES, MEMBERS, CONFIGS = 256, 16, 128  # synthetic ones
HELD_OUT = 16  # further families, to validate on where no task is recorded


@dataclass(frozen=True, eq=False)
class Material:
    """All that a training sees.

    Attributes:
        sources: prior tasks to learn from, each on a pool of its own.
        shares: how often each is drawn from.
        validate: the regret on held-out tasks.
        about: the collections and the synthetic tasks, for the card.
    """

    sources: list[PriorTasks]
    shares: list[float]
    validate: ReplayedRegret
    about: dict[str, Any]

    @classmethod
    def gather(
        cls,
        data: Sequence[Path],
        *,
        exclude: Sequence[str] = (),
        synthetic: float,
        families: int = FAMILIES,
        seed: int,
        say: Callable[[str], None],
    ) -> Material:
        """Read the recorded tasks, deal them, and make the synthetic ones.

        Args:
            data: folders of recorded tasks, or of several such folders; none where all tasks are synthetic.
            exclude: names of tasks, datasets, families or tables to leave out.
            synthetic: share of the batches that are of synthetic tasks; with 1 the recorded ones only validate.
            families: of synthetic tasks.
            seed: of the deal and of the families.
            say: is told what there is.

        Raises:
            InputError: nothing to learn from or to validate on.
            ModelError: a folder cannot be read.
        """
        recorded, targets, cards = _recorded(data, exclude, seed, say) if data else ([], [], [])
        if synthetic >= 1.0:
            recorded = []
        made = _families(families, seed, 0) if synthetic > 0.0 else []
        if not data:
            targets = synthetic_targets(_families(HELD_OUT, seed, 1))
        weights = [math.sqrt(len(source)) for source in recorded]
        share = synthetic if recorded else 1.0
        shares = [(1.0 - share) * w / sum(weights) for w in weights] + [share / len(made) for _ in made]
        validate = ReplayedRegret.on(targets)
        tasks = sum(len(source) for source in recorded)
        say(
            f"learning from {tasks} recorded tasks and {len(made)} synthetic families, "
            f"validating on {len(validate.targets)} tasks"
        )
        about = {
            "tasks": tasks,
            "collections": cards,
            "synthetic": {"families": len(made), "share": synthetic},
        }
        return cls([*recorded, *made], shares, validate, about)


def _recorded(
    data: Sequence[Path], exclude: Sequence[str], seed: int, say: Callable[[str], None]
) -> tuple[list[PriorTasks], list[Target], list[dict[str, Any]]]:
    """What is learned from, what is validated on, and what the card says of each collection."""
    folders = list(dict.fromkeys(f.resolve() for given in data for f in collection_folders(given)))
    collections = [read_collection(folder) for folder in folders]
    split = Split.deal(collections, exclude=exclude, twins=read_twins(folders), seed=seed)
    sources: list[PriorTasks] = []
    cards: list[dict[str, Any]] = []
    for i, (folder, collection) in enumerate(zip(folders, collections, strict=True)):
        parts = _sources(collection, split.learn[i])
        sources += parts
        learned = sorted(name for part in parts for name in part.names)
        held, excluded = len(split.validate[i]), split.excluded[i]
        cards.append(
            {
                "name": collection.card.name,
                "checksum": checksum(folder),
                "learned_from": learned,
                "held_out": held,
                "excluded": excluded,
            }
        )
        say(f"{collection.card.name}: {len(learned)} to learn from, {held} held out, {excluded} excluded")
    return sources, recorded_targets(collections, split.validate), cards


def _sources(collection: Collection, rows: NDArray[np.intp]) -> list[PriorTasks]:
    """Tasks on the configs that they share; each alone on its own where the collection shares none."""
    if collection.shared.any():
        found = [PriorTasks.of(collection, rows.tolist())]
    else:
        found = [_alone(collection, int(row)) for row in rows]
    return [source for source in found if len(source)]


def _alone(collection: Collection, row: int) -> PriorTasks:
    places = np.flatnonzero(collection.evaluated[row])
    losses = collection.full[row, places]
    names = (collection.names[row],) if np.isfinite(losses).sum() >= FEWEST else ()
    table = np.where(np.isnan(losses), np.inf, losses)[None][: len(names)]
    return PriorTasks(collection.pool(places), names, table, (collection.features(row),)[: len(names)])


def _families(count: int, seed: int, stream: int) -> list[PriorTasks]:
    """Synthetic families; those of another stream are other ones."""
    seeds = np.random.SeedSequence([seed, stream]).generate_state(count).tolist()
    found = [prior_tasks(SyntheticFamily.draw(s), tasks=MEMBERS, configs=CONFIGS, seed=s) for s in seeds]
    return [family for family in found if len(family.pool) >= FEWEST]
