"""A simulated cheetah that learns to be told which way to run: HalfCheetah forward and backward (Finn et al. 2017).

    python examples/cheetah_direction.py --out runs/cheetah

The two tasks are the two directions, which the policy does not see; only the rewards of an update's episodes tell. The
physics is MuJoCo's, and a training at the paper's size takes hours on a CPU: it may be stopped and goes on from there.

Shapes: T tasks (directions), E episodes, H steps, S updates.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from policy_gradient import Update, judge, new_policy, train
from results import report, with_interval
from torch import Tensor

from autometa.adaptation import InnerLoop, Learner, Settings, learner
from autometa.errors import MissingExtraError

HORIZON = 100  # the paper's 200 would take twice the time
EPISODES = 20
UPDATES = 3
DIRECTIONS = torch.tensor([[1.0], [-1.0]])
TRIALS = 5  # of each direction, each with episodes of its own
ALGORITHMS = {"MAML": InnerLoop(rate=0.1), "pretraining": InnerLoop(steps=0)}
RATES = (0.02, 0.05, 0.1, 0.2, 0.5)
LATER = (1.0, 0.25)


def simulator() -> Callable[[], Any]:
    """What makes a cheetah.

    Raises:
        MissingExtraError: Gymnasium or MuJoCo is not installed.
    """
    try:
        import mujoco
        from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
    except ImportError as error:
        raise MissingExtraError(
            f"the cheetah needs Gymnasium with MuJoCo, of which {error.name} is missing; install autometa[control]"
        ) from error
    # Gymnasium's model file uses an attribute that MuJoCo 4 deprecates; each cheetah would say so, into a file as well.
    mujoco.set_mju_user_warning(lambda _: None)
    return HalfCheetahEnv


class Cheetahs:
    """A World of cheetahs that are paid for their speed in a direction, less the effort; tasks are 1 or -1, (T, 1).

    Args:
        episodes: E, of each direction.
        horizon: H.
    """

    discount = 0.99

    def __init__(self, *, episodes: int = EPISODES, horizon: int = HORIZON) -> None:
        self.episodes, self.horizon, self._make = episodes, horizon, simulator()
        self._cheetahs: list[Any] = []

    def reset(self, tasks: Tensor, generator: torch.Generator) -> Tensor:
        """See :class:`policy_gradient.World`."""
        self._directions = tasks.expand(-1, self.episodes)
        while len(self._cheetahs) < self._directions.numel():
            self._cheetahs.append(self._make())
        seeds = torch.randint(2**31, (self._directions.numel(),), generator=generator).tolist()
        return self._tensor([one.reset(seed=seed)[0] for one, seed in zip(self._cheetahs, seeds, strict=False)])

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`policy_gradient.World`; no episode ends early."""
        moves = actions.clamp(-1, 1).flatten(0, 1).double().numpy()
        met = [one.step(move) for one, move in zip(self._cheetahs, moves, strict=False)]
        speed, effort = (self._tensor([info[name] for *_, info in met]) for name in ("reward_forward", "reward_ctrl"))
        rewards = self._directions * speed + effort
        return self._tensor([seen for seen, *_ in met]), rewards, torch.zeros_like(rewards, dtype=torch.bool)

    def _tensor(self, values: list[Any]) -> Tensor:
        """Values of each episode, (T, E, ...)."""
        return torch.as_tensor(np.array(values), dtype=torch.float32).unflatten(0, self._directions.shape)


def trained(name: str, seed: int, steps: int, world: Cheetahs, out: Path) -> Learner:
    """What an algorithm learns on both directions."""
    inner = ALGORITHMS[name]
    return train(
        world,
        inner,
        learner(new_policy(17, 6, hidden=64, seed=seed), inner),
        lambda _: DIRECTIONS,
        DIRECTIONS,
        Settings(steps=steps, rate=1e-3, cosine=True, clip=1.0, validate_every=min(10, steps), seed=seed),
        checkpoint=out / f"{name}-{seed}.safetensors",
    )


def judged(name: str, seed: int, world: Cheetahs, found: Learner) -> np.ndarray:
    """Returns of each trial, (TRIALS, T, S + 1)."""
    inner = ALGORITHMS[name]
    steps = [inner] if inner.steps else [InnerLoop(rate=rate) for rate in RATES]
    choices = [Update(step, later) for step in steps for later in LATER]
    trials = DIRECTIONS.repeat(TRIALS, 1)
    returns, best = judge(world, choices, found, DIRECTIONS, trials, updates=UPDATES, seed=seed)
    rates = ", ".join(f"{how.inner.rate} (later ones take {how.later})" for how in best)
    print(f"{name}-{seed}: rates {rates}", flush=True)
    return returns.unflatten(0, (TRIALS, len(DIRECTIONS))).numpy()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge, and write the table."""
    parser = argparse.ArgumentParser(description="A cheetah that adapts to a direction in a few episodes.")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints and table")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each algorithm")
    parser.add_argument("--steps", type=int, default=400, help="of the outer loop")
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=list(ALGORITHMS), metavar="NAME")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    world, rows = Cheetahs(), []
    for name in chosen.algorithms:
        learned = [trained(name, seed, chosen.steps, world, chosen.out) for seed in range(chosen.seeds)]
        returns = np.stack([judged(name, seed, world, found) for seed, found in enumerate(learned)])
        for place, direction in enumerate(("forward", "backward")):
            some = returns[:, :, place]
            row: dict[str, object] = {"algorithm": name, "direction": direction}
            row |= {f"after {done}": with_interval(some[..., done], digits=1) for done in range(UPDATES + 1)}
            row["gain of the first"] = with_interval(some[..., 1] - some[..., 0], digits=1)
            rows.append(row)
    report(rows, chosen.out, "cheetah")


if __name__ == "__main__":
    main()
