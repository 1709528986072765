"""Few-shot classification of handwritten characters (Omniglot): meta-learning beside pretraining in one table.

    python examples/omniglot.py --out runs/omniglot

An episode asks which of 5 characters a drawing shows, after 1 or 5 drawings of each. Its characters are of alphabets
that no training has seen. The table has accuracies on 1,000 episodes with 95 % intervals over episodes and seeds:
transductive, where the query images are normalised together, and with each query image alone beside the support set.
Published accuracies are of 1,200 training characters; the two small sets have 114 and turn out lower.
Trainings that were stopped go on where they were; finished ones and their tests are not repeated.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from omniglot_algorithms import ALGORITHMS, TRAININGS
from omniglot_classifiers import WAYS, accuracies
from omniglot_data import Split, episodes, load
from omniglot_network import start
from results import interval, once, report, with_interval
from torch import Tensor

from autometa.adaptation import Learner, MetaTrainer, Settings, Tasks, learner

QUERY = 15  # images of a class that a held-out episode is judged by
VALIDATION = 200  # episodes
SETTINGS = ("transductive", "query alone")


def held_out(characters: Tensor, count: int, seed: int, shots: int) -> Tasks:
    """Episodes of characters that no training sees, the same for every algorithm."""
    generator = torch.Generator().manual_seed(seed)
    return episodes(characters, generator, tasks=count, ways=WAYS, shots=shots, queries=QUERY)


def evaluate(name: str, shots: int, seed: int, split: Split, given: argparse.Namespace) -> np.ndarray:
    """Accuracies of one row of the table with one seed, (2, episodes): transductive and with the query alone."""
    one = ALGORITHMS[name]
    how = "no training"
    if one.training is not None:
        how = f"{TRAININGS[one.training].inner} {settings_of(one.training, seed, given.steps)}"
    return once(
        given.out / f"{name}-{shots}-{seed}.npz",
        f"{how} {list(one.classifiers)} {given.episodes} episodes",
        lambda: judge(name, shots, seed, split, given),
    )


def judge(name: str, shots: int, seed: int, split: Split, given: argparse.Namespace) -> np.ndarray:
    """Train, choose the classifier on validation episodes, and measure it on test episodes."""
    one = ALGORITHMS[name]
    trained = train(one.training, shots, seed, split, given) if one.training else Learner({}, {})
    validation = held_out(split.validation, VALIDATION, 0, shots)
    tried = {
        choice: float(accuracies(classify, trained, validation, alone=False).mean())
        for choice, classify in one.classifiers.items()
    }
    best = max(tried, key=tried.__getitem__)
    test = held_out(split.test, given.episodes, 1 + seed, shots)
    both = np.stack([accuracies(one.classifiers[best], trained, test, alone=alone).numpy() for alone in (False, True)])
    print(f"{name}-{shots}-{seed}: validation {tried}, test {both.mean(axis=1)}", flush=True)
    return both


def settings_of(name: str, seed: int, most: int) -> Settings:
    """Of the outer loop of a training."""
    one = TRAININGS[name]
    usual = {"steps": min(one.steps, most), "cosine": True, "clip": 10.0, "validate_every": 500, "seed": seed}
    return Settings(**(usual | dict(one.outer)))


def train(name: str, shots: int, seed: int, split: Split, given: argparse.Namespace) -> Learner:
    """Train a learner, or what is left of its training; pretraining is one for all shots."""
    one = TRAININGS[name]
    shots = 1 if one.all_characters else shots
    known = given.out / f"{name}-{shots}-{seed}.safetensors"
    classify = next(
        c for algorithm in ALGORITHMS.values() if algorithm.training == name for c in algorithm.classifiers.values()
    )
    validation = held_out(split.validation, VALIDATION, 0, shots)
    trainer = MetaTrainer(
        partial(one.gradient, one.loss, one.inner),
        lambda generator: one.draw(split.train, generator, shots),
        lambda now: 1 - float(accuracies(classify, now, validation, alone=False).mean()),
        settings_of(name, seed, given.steps),
        about=str(one.inner),
        checkpoint=known,
        watch=lambda progress: print(f"{known.stem}: {progress}", flush=True),
    )
    return trainer.train(learner(start(len(split.train) if one.all_characters else WAYS, seed), one.inner))


def plot(found: Mapping[str, np.ndarray], shots: int, into: Path) -> None:
    """Accuracies (seeds, 2, episodes) by algorithm as bars with their intervals."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.4 * len(found)), layout="constrained")
    height = 0.38
    for place, setting in enumerate(SETTINGS):
        means, halves = np.array([interval(values[:, place]) for values in found.values()]).T
        at = np.arange(len(found)) + (place - 0.5) * height
        axes.barh(at, means, height, xerr=halves, label=setting, color=("#1f6f8b", "#c9a227")[place], capsize=2)
    axes.set(
        yticks=range(len(found)),
        yticklabels=[ALGORITHMS[name].title for name in found],
        xlim=(1 / WAYS, 1),
        xlabel="accuracy (the axis begins at chance)",
        title=f"Omniglot, {WAYS}-way {shots}-shot",
    )
    axes.invert_yaxis()
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=len(SETTINGS))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(into / f"omniglot-{shots}.png", dpi=150)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("AUTOMETA_DATA", "data")) / "images"
    parser.add_argument("--data", type=Path, default=default, help="folder with Omniglot; see omniglot_data.load")
    parser.add_argument("--out", type=Path, default=Path("runs/omniglot"))
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=list(ALGORITHMS))
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 5])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100_000, help="of the outer loop, at most")
    parser.add_argument("--episodes", type=int, default=1_000, help="for the test")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    split = load(given.data)
    for shots in given.shots:
        found = {
            name: np.stack([evaluate(name, shots, seed, split, given) for seed in range(given.seeds)])
            for name in given.algorithms
        }
        rows = [
            {
                "algorithm": ALGORITHMS[name].title,
                **{setting: with_interval(values[:, place]) for place, setting in enumerate(SETTINGS)},
            }
            for name, values in found.items()
        ]
        print(f"{WAYS}-way {shots}-shot, {given.episodes:,} test episodes, {given.seeds} seeds: accuracy")
        report(rows, given.out, f"omniglot-{shots}")
        plot(found, shots, given.out)


if __name__ == "__main__":
    main()
