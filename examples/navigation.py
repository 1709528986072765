"""Policies that find a goal in one update: 2-D point navigation (Finn et al. 2017, section 5.3).

    python examples/navigation.py --out runs/navigation

A point starts at the origin of a plane and is paid minus its squared distance to a goal that it does not see; a few
episodes must tell. Trainings that were stopped go on where they were, and finished ones are not repeated. The table has
the mean return on 40 held-out goals before and after 1, 2 and 3 updates, with 95 % intervals over goals and seeds.

Shapes: T tasks (goals), E episodes, H steps, S updates.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from policy_gradient import Update, copies, judge, new_policy, rollout, train, update
from results import interval, report, with_interval
from torch import Tensor

from autometa.adaptation import InnerLoop, Learner, Settings, learner
from autometa.errors import MissingExtraError

try:
    import gymnasium
except ImportError as error:
    raise MissingExtraError(
        "navigation is an environment of Gymnasium, which is missing; install autometa[control]"
    ) from error

STEP = 0.1
NEAR = 0.01
HORIZON = 50

EPISODES = 20
TASKS = 20  # in a step of the outer loop
UPDATES = 3
SHOWN = 7  # goals in the figure
ALGORITHMS = {
    "MAML": InnerLoop(rate=5.0),
    "FOMAML": InnerLoop(rate=5.0, second_order=False),
    "Meta-SGD": InnerLoop(rate=5.0, rates="per parameter"),
    "pretraining": InnerLoop(steps=0),
    "pretraining, falling rate": InnerLoop(steps=0),
    "random init": InnerLoop(steps=0),
    "oracle": InnerLoop(steps=0),
}
# What never trained for an update takes the rate that is best on validation goals after as many updates as are judged.
RATES = (0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 75.0)
CONSTANT = [Update(InnerLoop(rate=rate)) for rate in RATES]
FALLING = [Update(how.inner, later) for how in CONSTANT for later in (0.5, 0.25, 0.1)]
CHOICES = {"pretraining": CONSTANT, "pretraining, falling rate": FALLING, "random init": CONSTANT}
AGAINST = (("pretraining", 1), ("pretraining", UPDATES), ("pretraining, falling rate", UPDATES))


class PointNavigation(gymnasium.Env[np.ndarray, np.ndarray]):
    """One episode at a time, as an environment of Gymnasium.

    An observation is the position; an action is a step in units of 0.1, clipped to [-1, 1]. An episode ends within 0.01
    of the goal. The goal is drawn from [-0.5, 0.5]^2 at each reset, or given as ``options={"goal": (x, y)}``.

    Args:
        horizon: steps after which an episode is cut off.
    """

    def __init__(self, horizon: int = HORIZON) -> None:
        reach = np.full(2, STEP * horizon + NEAR, dtype=np.float32)
        self.observation_space = gymnasium.spaces.Box(-reach, reach)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
        self._horizon = horizon

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin at the origin."""
        super().reset(seed=seed)
        goal = (options or {}).get("goal", self.np_random.uniform(-0.5, 0.5, size=2))
        self._goal = np.asarray(goal, dtype=np.float32)
        self._position, self._steps = np.zeros(2, dtype=np.float32), 0
        return self._position, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Walk, and be paid minus the squared distance that is left."""
        self._position = self._position + np.float32(STEP) * np.clip(action, -1, 1).astype(np.float32)
        self._steps += 1
        distance = float(np.linalg.norm(self._position - self._goal))
        return self._position, -(distance**2), distance < NEAR, self._steps >= self._horizon, {}


class Points:
    """The same for many goals and episodes side by side; tasks are goals (T, 2).

    Args:
        episodes: E, of each goal.
        horizon: see :class:`PointNavigation`.
        sighted: whether the goal is part of the observation, which makes an oracle.
    """

    discount = 0.5  # where a step leads shows at once; what comes later is noise of the steps after it

    def __init__(self, *, episodes: int = EPISODES, horizon: int = HORIZON, sighted: bool = False) -> None:
        self.episodes, self.horizon, self._sighted = episodes, horizon, sighted

    def reset(self, tasks: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002 (no chance in it)
        """See :class:`policy_gradient.World`."""
        self._goals = tasks[:, None].expand(-1, self.episodes, -1)
        self._position = torch.zeros_like(self._goals)
        return self._seen()

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`policy_gradient.World`."""
        self._position = self._position + STEP * actions.clamp(-1, 1)
        distance = torch.linalg.vector_norm(self._position - self._goals, dim=-1)
        return self._seen(), -(distance**2), distance < NEAR

    def _seen(self) -> Tensor:
        return torch.cat([self._position, self._goals], dim=-1) if self._sighted else self._position


def goals(count: int, generator: torch.Generator) -> Tensor:
    """Goals drawn from the square, (T, 2)."""
    return torch.rand(count, 2, generator=generator) - 0.5


VALIDATION = goals(40, torch.Generator().manual_seed(1_000_000_000))
HELD_OUT = goals(40, torch.Generator().manual_seed(1_000_000_001))


def trained(name: str, seed: int, steps: int, out: Path) -> tuple[Points, Learner]:
    """The world an algorithm plays in, and what it learned there."""
    inner, world = ALGORITHMS[name], Points(sighted=name == "oracle")
    begin = learner(new_policy(4 if name == "oracle" else 2, 2, seed=seed), inner)
    if name == "random init":
        return world, begin
    found = train(
        world,
        inner,
        begin,
        lambda generator: goals(TASKS, generator),
        VALIDATION,
        Settings(steps=steps, rate=1e-2, cosine=True, clip=1.0, validate_every=min(50, steps), seed=seed),
        checkpoint=out / f"{name.removesuffix(', falling rate')}-{seed}.safetensors",
    )
    return world, found


def judged(name: str, seed: int, world: Points, found: Learner) -> tuple[np.ndarray, Update]:
    """Returns on the held-out goals, (T, S + 1), and how the first update is taken."""
    choices = CHOICES.get(name, [Update(ALGORITHMS[name])])
    returns, best = judge(world, choices, found, VALIDATION, HELD_OUT, updates=UPDATES, seed=seed)
    means = ", ".join(f"{value:.2f}" for value in returns.mean(dim=0).tolist())
    rates = ", ".join(f"{how.inner.rate} (later ones take {how.later})" for how in best)
    print(f"{name}-{seed}: returns {means}; rates {rates}", flush=True)
    return returns.numpy(), best[0]


def table(returns: Mapping[str, np.ndarray]) -> list[dict[str, object]]:
    """A row for each algorithm; differences are taken goal by goal."""
    rows = []
    for name, found in returns.items():
        row: dict[str, object] = {"algorithm": name}
        row |= {f"after {done}": with_interval(found[..., done], digits=2) for done in range(UPDATES + 1)}
        row["gain of the first"] = with_interval(found[..., 1] - found[..., 0], digits=2)
        for other, done in AGAINST:
            if other in returns:
                ahead = found[..., 1] - returns[other][..., done]
                row[f"after 1 less {other} after {done}"] = with_interval(ahead, digits=2)
        rows.append(row)
    return rows


def walks(world: Points, how: Update, found: Learner) -> list[np.ndarray]:
    """Paths to the first held-out goals: before and after one update, two as sampled and one with hardly any noise.

    Each is (SHOWN, 3, H, 2), nan after the end.
    """
    some, generator, paths = HELD_OUT[:SHOWN], torch.Generator().manual_seed(0), []
    before = copies(found.params, SHOWN)
    after = update(before, rollout(world, before, some, generator), how.inner, found.rule)
    for params in (before, after):
        quiet = {**params, "log_deviation": torch.full_like(params["log_deviation"], -torch.inf)}
        for policy, count in ((params, 2), (quiet, 1)):
            met = rollout(world, policy, some, generator)
            path = torch.where(met.alive[..., None] > 0, met.observations[..., :2], torch.nan)
            paths.append(path[:, :count].numpy())
    return [np.concatenate(paths[at : at + 2], axis=1) for at in (0, 2)]


def draw(paths: Sequence[np.ndarray], returns: Mapping[str, np.ndarray], into: Path) -> None:
    """A figure: left, the first algorithm's paths; right, returns against updates with their intervals."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5), layout="constrained", width_ratios=(1, 1.1))
    left.plot([-0.5, 0.5, 0.5, -0.5, -0.5], [-0.5, -0.5, 0.5, 0.5, -0.5], color="0.6", linestyle=":", linewidth=1)
    for place, pair in enumerate(zip(*paths, strict=True)):
        for walks_of_one, colour in zip(pair, ("0.75", f"C{place}"), strict=True):
            for walk, width, alpha in zip(walks_of_one, (0.6, 0.6, 2.5), (0.4, 0.4, 1.0), strict=True):
                left.plot(*walk.T, color=colour, linewidth=width, alpha=alpha)
        left.plot(*HELD_OUT[place], marker="*", markersize=16, color=f"C{place}", markeredgecolor="black", zorder=3)
    left.plot(0, 0, marker="o", color="black", zorder=3)
    left.set(title=f"{next(iter(returns))}: paths before (light grey) and after one update", aspect="equal")
    for place, (name, found) in enumerate(returns.items()):
        means, halves = np.array([interval(found[..., done]) for done in range(UPDATES + 1)]).T
        # Side by side, so that intervals do not cover each other.
        at = np.arange(UPDATES + 1) + 0.04 * (place - (len(returns) - 1) / 2)
        style = "--" if name == "oracle" else "-"
        right.errorbar(at, -means, yerr=halves, marker="o", markersize=4, capsize=3, linestyle=style, label=name)
    right.set(title=f"{len(HELD_OUT)} held-out goals, 95 % intervals", ylabel="minus return", xticks=range(UPDATES + 1))
    right.set_yscale("log")
    right.invert_yaxis()  # better is higher
    right.set_xlabel(f"updates, each of {EPISODES} episodes")
    right.grid(axis="y", color="0.9")
    figure.legend(loc="outside right center")
    figure.savefig(into, dpi=150)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge, and write the table and the figure."""
    parser = argparse.ArgumentParser(description="Policies that adapt to a goal in a few episodes.")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, table and figure")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each algorithm")
    parser.add_argument("--steps", type=int, default=400, help="of the outer loop")
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=list(ALGORITHMS), metavar="NAME")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    returns: dict[str, np.ndarray] = {}
    for name in chosen.algorithms:
        rows = []
        for seed in range(chosen.seeds):
            world, found = trained(name, seed, chosen.steps, chosen.out)
            after, first = judged(name, seed, world, found)
            rows.append(after)
            if not returns and not seed:
                example = walks(world, first, found)
        returns[name] = np.stack(rows)
    report(table(returns), chosen.out, "navigation")
    draw(example, returns, chosen.out / "navigation.png")


if __name__ == "__main__":
    main()
