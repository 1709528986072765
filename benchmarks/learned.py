"""Replay the learned policy on a public table, its process meta-trained anew on the prior tasks of each fold.

python -m benchmarks.learned oboe --steps 5000 --keep FOLDER

Processes are kept in a folder and not trained again; results go where benchmarks.replay keeps its own.
"""

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from autometa.metatrain.process_training import Settings as Training
from autometa.metatrain.process_training import meta_train
from autometa.policies.alone import ALONE
from autometa.policies.learned import LearnedPolicy
from autometa.policies.learned_process import LearnedProcess
from autometa.records.prior_tasks import PriorTasks
from autometa.records.reading import read_collection
from autometa.records.replays import Replays, Settings
from autometa.records.sources import Folds
from benchmarks.replay import folder_of, keep


@dataclass(frozen=True)
class Trained:
    """Meta-trains a process on whatever prior tasks it is shown, once for each set of them."""

    training: Training
    folder: Path

    def process(self, prior: PriorTasks) -> LearnedProcess:
        """The process that knows these tasks and no others."""
        told = hashlib.sha256(repr((self.training, prior.names, prior.losses.tobytes())).encode()).hexdigest()[:16]
        path = self.folder / f"{told}.safetensors"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # The last step is taken: nothing is held out of a fold's prior tasks to choose by.
            found = meta_train(
                [prior],
                self.training,
                validate=lambda _: 0.0,
                checkpoint=path.with_suffix(".training"),
                watch=lambda progress: print(progress, file=sys.stderr, flush=True),
            )
            found.save(path)
            path.with_suffix(".training").unlink()
        return LearnedProcess.load(path)

    def learned(self, prior: PriorTasks) -> LearnedPolicy:
        """The policy as it is used."""
        return LearnedPolicy(prior, process=self.process(prior))

    def alone(self, prior: PriorTasks) -> LearnedPolicy:
        """The process without copies of prior tasks and without the cold expert."""
        return LearnedPolicy(prior, process=self.process(prior), parts=ALONE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--steps", type=int, default=5_000)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--keep", type=Path, required=True, help="folder of the meta-trained processes")
    given = parser.parse_args()
    trained = Trained(Training(steps=given.steps, validate_every=given.steps), given.keep)
    factories = {"learned": trained.learned, "learned_alone": trained.alone}
    for name in given.names:
        collection = read_collection(folder_of(name))
        replays = Replays(
            Folds.deal(collection, 10), factories, Settings(trials=given.trials, seeds=1), tuple(factories)
        )
        replays.run(lambda line: print(line, file=sys.stderr, flush=True))
        keep(replays, collection.card.name, tuple(factories))
