"""Few-shot regression of sine waves (Finn et al. 2017, section 5.1): every algorithm of the room in one table.

    python examples/sinusoid.py --out runs/sinusoid

A task is a sine wave of its own amplitude and phase; a learner sees K points of it and is asked about others. Trainings
that were stopped go on where they were, and finished ones are not repeated. The table has the mean squared error on
2,000 held-out tasks before and after 1, 5 and 10 steps, with 95 % intervals over tasks and seeds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from results import interval, once, report, with_interval
from torch import Tensor

from autometa.adaptation import (
    InnerLoop,
    Learner,
    LSTMRule,
    MetaTrainer,
    Params,
    Settings,
    Tasks,
    UpdateRule,
    learner,
    meta_gradient,
    query_losses,
    reptile_gradient,
)

WIDTH = 40
BATCH = 25  # tasks of an outer step
QUERY = 100  # points that a held-out task is judged by
SHOWN = (0, 1, 5, 10)  # steps of the table
RATES = (
    0.001,
    0.003,
    0.01,
    0.02,
    0.05,
    0.1,
)  # among which starts that were not meant to adapt choose, on validation tasks
CONTEXT = 4  # numbers that CAVIA adapts


@dataclass(frozen=True)
class Algorithm:
    """How a row of the table is trained.

    Attributes:
        inner: the inner loop of the training, and with more steps of the test.
        steps: of the outer loop.
        gradient: of the outer loop.
        outer: settings of the outer loop that differ from the usual ones.
        inputs: of the network beside x: "" for none, "context" for what CAVIA adapts, "task" for amplitude and phase.
        tunes_rate: whether the test's rate is the best of RATES on validation tasks.
    """

    inner: UpdateRule
    steps: int = 30_000
    gradient: Callable[..., tuple[Tensor, Learner]] = meta_gradient
    outer: Mapping[str, object] | None = None
    inputs: str = ""
    tunes_rate: bool = False


ALGORITHMS = {
    "MAML": Algorithm(InnerLoop(rate=0.01)),
    "FOMAML": Algorithm(InnerLoop(rate=0.01, second_order=False), outer={"rate": 0.001}),
    "Meta-SGD": Algorithm(InnerLoop(rate=0.01, rates="per parameter")),
    "Reptile": Algorithm(
        InnerLoop(steps=5, rate=0.02),
        gradient=reptile_gradient,
        outer={"optimiser": "sgd", "rate": 1.0, "cosine": True},
    ),
    "ANIL": Algorithm(InnerLoop(rate=0.01, adapts=("head",))),
    "pretraining": Algorithm(InnerLoop(steps=0), tunes_rate=True),
    "random start": Algorithm(InnerLoop(steps=0), steps=0, tunes_rate=True),
    "oracle": Algorithm(InnerLoop(steps=0), inputs="task"),
    "MAML++": Algorithm(
        InnerLoop(steps=5, rate=0.01, rates="per layer and step", weights=(0.0, 0.1, 0.1, 0.1, 0.2, 0.5)),
        steps=10_000,
        outer={"rate": 0.001, "clip": 10.0},  # as in the paper; at 0.003 and unclipped it diverges
    ),
    "CAVIA": Algorithm(InnerLoop(steps=2, rate=0.5, adapts=("context",)), steps=15_000, inputs="context"),
    "LSTM meta-learner": Algorithm(LSTMRule(steps=5, hidden=8), steps=3_000),
}


def network(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """A network with two hidden layers: x (n, d) to (n,)."""
    if "context" in params:
        x = torch.cat([x, params["context"].expand(len(x), -1)], dim=1)
    x = torch.relu(x @ params["first.weight"] + params["first.bias"])
    x = torch.relu(x @ params["second.weight"] + params["second.bias"])
    return (x @ params["head.weight"])[:, 0] + params["head.bias"]


def squared_error(params: Mapping[str, Tensor], data: tuple[Tensor, Tensor]) -> Tensor:
    """Mean squared error on points x (n, d), y (n,)."""
    return ((network(params, data[0]) - data[1]) ** 2).mean()


def start(inputs: str, seed: int) -> Params:
    """The network's parameters before any learning."""
    generator = torch.Generator().manual_seed(seed)
    beside = {"": 0, "context": CONTEXT, "task": 3}[inputs]
    params = {}
    for name, rows, columns in (("first", 1 + beside, WIDTH), ("second", WIDTH, WIDTH), ("head", WIDTH, 1)):
        params[f"{name}.weight"] = (2 * torch.rand(rows, columns, generator=generator) - 1) / math.sqrt(rows)
        params[f"{name}.bias"] = torch.zeros(columns) if name != "head" else torch.zeros(())
    return params | ({"context": torch.zeros(CONTEXT)} if inputs == "context" else {})


def draw(generator: torch.Generator, *, tasks: int = BATCH, shots: int, query: int, inputs: str = "") -> Tasks:
    """Sine waves: amplitude 0.1 to 5, phase 0 to pi, points from -5 to 5."""
    amplitude = 0.1 + 4.9 * torch.rand(tasks, 1, generator=generator)
    phase = math.pi * torch.rand(tasks, 1, generator=generator)
    x = 10 * torch.rand(tasks, shots + query, generator=generator) - 5
    y = amplitude * torch.sin(x - phase)
    x = x[:, :, None]
    if inputs == "task":
        known = torch.cat([amplitude, phase.sin(), phase.cos()], dim=1)
        x = torch.cat([x, known[:, None].expand(-1, shots + query, -1)], dim=2)
    return Tasks((x[:, :shots], y[:, :shots]), (x[:, shots:], y[:, shots:]))


def held_out(count: int, seed: int, shots: int, inputs: str) -> Tasks:
    """Tasks that no training draws."""
    return draw(torch.Generator().manual_seed(seed), tasks=count, shots=shots, query=QUERY, inputs=inputs)


def at_test(inner: UpdateRule, *, rate: float | None = None) -> UpdateRule:
    """The inner loop with as many steps as the table shows."""
    changes = {} if rate is None else {"rate": rate}
    return replace(inner, steps=max(SHOWN), weights=None, **changes)  # type: ignore[type-var]


def evaluate(name: str, shots: int, seed: int, given: argparse.Namespace) -> np.ndarray:
    """Errors of one training on the held-out tasks, (tasks, steps that are shown)."""
    one = ALGORITHMS[name]
    usual = {"steps": min(one.steps, given.steps), "rate": 0.003, "cosine": True, "validate_every": 1_000, "seed": seed}
    settings = Settings(**(usual | dict(one.outer or {}))) if one.steps else None
    path = given.out / f"{name.replace(' ', '_')}-{shots}-{seed}.npz"
    return once(
        path,
        f"{one.inner} {settings} {given.tasks} tasks",
        lambda: judge(one, shots, seed, settings, path, given.tasks),
    )


def judge(one: Algorithm, shots: int, seed: int, settings: Settings | None, path: Path, tasks: int) -> np.ndarray:
    """Train, and measure on held-out tasks."""
    validation = held_out(200, 1, shots, one.inputs)
    trained = learner(start(one.inputs, seed), one.inner)
    if settings is not None:
        trained = train(one, trained, shots, settings, validation, path.with_suffix(".safetensors"))
    inner = at_test(one.inner)
    if one.tunes_rate:
        rates = [at_test(InnerLoop(), rate=rate) for rate in RATES]
        inner = min(rates, key=lambda i: float(query_losses(squared_error, i, trained, validation)[:, -1].mean()))
    elif one.inputs == "task":
        inner = InnerLoop(steps=0)  # it knows all there is to know
    losses = query_losses(squared_error, inner, trained, held_out(tasks, 2, shots, one.inputs))
    return losses[:, [min(s, losses.shape[1] - 1) for s in SHOWN]].numpy()


def train(
    one: Algorithm, begin: Learner, shots: int, settings: Settings, validation: Tasks, checkpoint: Path
) -> Learner:
    """Train one row of the table, or what is left of it."""
    trainer = MetaTrainer(
        partial(one.gradient, squared_error, one.inner),
        partial(draw, shots=shots, query=shots, inputs=one.inputs),
        lambda now: float(query_losses(squared_error, one.inner, now, validation)[:, -1].mean()),
        settings,
        about=str(one.inner),
        checkpoint=checkpoint,
        watch=lambda progress: print(f"{checkpoint.stem}: {progress}", flush=True),
    )
    return trainer.train(begin)


def plot(found: Mapping[str, np.ndarray], shots: int, into: Path) -> None:
    """Errors by step with the intervals of the table, a line for each algorithm."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    pairs = plt.get_cmap("tab20").colors
    for colour, (name, losses) in zip(pairs[::2] + pairs[1::2], found.items(), strict=False):
        means, halves = np.array([interval(losses[:, :, i]) for i in range(len(SHOWN))]).T
        axes.errorbar(range(len(SHOWN)), means, yerr=halves, marker="o", capsize=3, color=colour, label=name)
    axes.set(
        xticks=range(len(SHOWN)),
        xticklabels=[str(s) for s in SHOWN],
        yscale="log",
        xlabel="inner steps",
        ylabel="mean squared error",
        title=f"Sine waves from {shots} points",
    )
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(into / f"sinusoid-{shots}.png", dpi=150)
    plt.close(figure)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/sinusoid"))
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=list(ALGORITHMS))
    parser.add_argument("--shots", nargs="+", type=int, default=[10, 5])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30_000, help="of the outer loop, at most")
    parser.add_argument("--tasks", type=int, default=2_000, help="held-out tasks")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for shots in given.shots:
        found = {
            name: np.stack([evaluate(name, shots, seed, given) for seed in range(given.seeds)])
            for name in given.algorithms
        }
        rows = [
            {
                "algorithm": name,
                **{f"{s} step{'' if s == 1 else 's'}": with_interval(losses[:, :, i]) for i, s in enumerate(SHOWN)},
            }
            for name, losses in found.items()
        ]
        print(f"{shots} points, {given.tasks:,} held-out tasks, {given.seeds} seeds: mean squared error after")
        report(rows, given.out, f"sinusoid-{shots}")
        plot(found, shots, given.out)


if __name__ == "__main__":
    main()
