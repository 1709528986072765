"""Policy gradients on many tasks at once, and learning to learn with them (Finn et al. 2017, section 5.3).

A policy is a dict of tensors: a Gaussian whose mean is a network with two hidden layers. An update samples E episodes
and takes one step down the surrogate loss -mean(ratio * advantage), where ratio = p(action) / p(action when sampled).
There the ratio is 1 and the gradient is REINFORCE's. The outer loss is the surrogate of episodes that the updated
policies sampled, and its gradient goes through the update.

What that gradient lacks: the term in which the start decides which episodes the update sees, grad log p(episodes
before) times the return after (E-MAML, Stadie et al. 2018). The second derivative of the ratio keeps a part of it: with
g = grad log p(action), it is g g' + Hessian log p for each step, times its advantage, the low variance curvature of
Rothfuss et al. 2019 (ProMP). The products of two steps' g, with which DiCE (Foerster et al. 2018) is unbiased, are left
out; with log p in place of the ratio, g g' would be too. Baselines are taken as given, though fitted to their episodes.

Shapes: T tasks, E episodes, H steps, O numbers of an observation, A of an action, K hidden units, S updates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.func import vmap

from autometa.adaptation import (
    InnerLoop,
    Learner,
    MetaTrainer,
    Params,
    Progress,
    Settings,
    Tasks,
    adapt,
    masked_mean,
    meta_gradient,
)

RIDGE = 1e-5
LEAST_DEVIATION = 0.05  # of an action, so that no policy stops exploring


class World(Protocol):
    """Tasks that are played side by side.

    Attributes:
        episodes: E, of each task.
        horizon: H.
        discount: of rewards to come, for advantages.
    """

    episodes: int
    horizon: int
    discount: float

    def reset(self, tasks: Tensor, generator: torch.Generator) -> Tensor:
        """Begin the episodes of tasks (T, ...); the first observations (T, E, O)."""
        ...

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """After actions (T, E, A): observations (T, E, O), rewards (T, E), and which episodes ended (T, E)."""
        ...


class Episodes(NamedTuple):
    """What policies met with; in front T, or nothing for one task. Steps after an episode's end are not alive.

    Attributes:
        observations: (E, H, O).
        actions: (E, H, A).
        log_probs: of the actions when they were sampled, (E, H).
        rewards: (E, H), 0 after the end.
        alive: 1 or 0, (E, H).
        advantages: (E, H).
    """

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    rewards: Tensor
    alive: Tensor
    advantages: Tensor

    @property
    def returns(self) -> Tensor:
        """Mean sum of rewards over episodes, () or (T,)."""
        return self.rewards.sum(dim=-1).mean(dim=-1)


def new_policy(inputs: int, actions: int, *, hidden: int = 32, deviation: float = 0.5, seed: int = 0) -> Params:
    """A policy that has learned nothing; its first mean is nearly 0."""
    generator = torch.Generator().manual_seed(seed)
    params = {}
    for layer, (into, out) in enumerate([(inputs, hidden), (hidden, hidden), (hidden, actions)]):
        scale = 0.01 if layer == 2 else 1.0
        params[f"{layer}.weight"] = scale * torch.randn(into, out, generator=generator) / math.sqrt(into)
        params[f"{layer}.bias"] = torch.zeros(out)
    return params | {"log_deviation": torch.full((actions,), math.log(deviation))}


def gaussian(params: Mapping[str, Tensor], observations: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the actions at observations (n, O); with T in front of the parameters, (T, n, O)."""
    x = observations
    for layer in range(3):
        x = x @ params[f"{layer}.weight"] + params[f"{layer}.bias"].unsqueeze(-2)
        x = torch.tanh(x) if layer < 2 else x
    return x, params["log_deviation"].unsqueeze(-2).clamp(min=math.log(LEAST_DEVIATION)).exp()


def log_prob(mean: Tensor, deviation: Tensor, actions: Tensor) -> Tensor:
    """Of actions (..., A) under a Gaussian with independent numbers, (...)."""
    density = -0.5 * ((actions - mean) / deviation) ** 2 - deviation.log() - 0.5 * math.log(2 * math.pi)
    return density.sum(dim=-1)


def surrogate(params: Mapping[str, Tensor], episodes: Episodes) -> Tensor:
    """Minus the mean of ratio times advantage over the steps of one task's episodes, a scalar."""
    actions = episodes.actions.flatten(0, 1)
    ratio = (
        log_prob(*gaussian(params, episodes.observations.flatten(0, 1)), actions) - episodes.log_probs.flatten()
    ).exp()
    return -masked_mean(ratio * episodes.advantages.flatten(), episodes.alive.flatten())


def returns_to_go(rewards: Tensor, discount: float) -> Tensor:
    """Discounted sum of the rewards (..., H) from each step on."""
    total, found = torch.zeros_like(rewards[..., 0]), []
    for reward in rewards.unbind(dim=-1)[::-1]:
        total = reward + discount * total
        found.append(total)
    return torch.stack(found[::-1], dim=-1)


def advantages(observations: Tensor, rewards: Tensor, alive: Tensor, discount: float) -> Tensor:
    """Returns to go less a baseline, (T, E, H).

    The baseline of a task is linear in the observation, its square, and powers of time (Duan et al. 2016), fitted by
    ridge regression to the episodes it is then taken from. Nothing is divided by a deviation: an update could then not
    tell a goal that is far from one that is near.
    """
    x, weight = observations.double(), alive.double().flatten(1)[..., None]
    time = torch.linspace(0, 1, x.shape[2], dtype=x.dtype)[:, None].expand(*x.shape[:3], 1)
    features = torch.cat([x, x**2, time, time**2, time**3, torch.ones_like(time)], dim=-1).flatten(1, 2)
    wanted = returns_to_go(rewards.double(), discount).flatten(1)[..., None]
    gram = (weight * features).mT @ features + RIDGE * torch.eye(features.shape[-1], dtype=x.dtype)
    baseline = features @ torch.linalg.solve(gram, (weight * features).mT @ wanted)
    return (weight * (wanted - baseline)).reshape(alive.shape).to(rewards)


@torch.no_grad()
def rollout(world: World, params: Params, tasks: Tensor, generator: torch.Generator) -> Episodes:
    """E episodes of each task, T in front; the parameters have T in front too."""
    seen, steps = world.reset(tasks, generator), []
    alive = torch.ones(seen.shape[:2])
    for _ in range(world.horizon):
        mean, deviation = gaussian(params, seen)
        action = mean + deviation * torch.randn(mean.shape, generator=generator)
        after, reward, over = world.step(action)
        steps.append((seen, action, log_prob(mean, deviation, action), reward * alive, alive))
        seen, alive = after, alive * ~over
    observations, actions, log_probs, rewards, lives = (torch.stack(some, dim=2) for some in zip(*steps, strict=True))
    worth = advantages(observations, rewards, lives, world.discount)
    return Episodes(observations, actions, log_probs, rewards, lives, worth)


def copies(params: Params, count: int) -> Params:
    """The same parameters for each of T tasks."""
    return {name: p.expand(count, *p.shape) for name, p in params.items()}


@torch.no_grad()
def update(params: Params, episodes: Episodes, inner: InnerLoop, rule: Params) -> Params:
    """The parameters of each of T tasks after a step on that task's episodes."""
    return vmap(lambda some, met: adapt(surrogate, some, met, inner, rule=rule))(params, episodes)


def policy_meta_gradient(world: World, inner: InnerLoop, learner: Learner, tasks: Tasks) -> tuple[Tensor, Learner]:
    """Minus the mean return after the update, and the gradient of the outer surrogate.

    Args:
        world: where the tasks are played.
        inner: one step, or none.
        learner: where to take the gradient.
        tasks: the tasks as support set; as query set a seed of the sampling for each, of which the first is used.
    """
    generator = torch.Generator().manual_seed(int(tasks.query[0]))
    starts = copies(learner.params, len(tasks.support))
    before = after = rollout(world, starts, tasks.support, generator)
    if inner.steps:
        after = rollout(world, update(starts, before, inner, learner.rule), tasks.support, generator)
    _, gradient = meta_gradient(surrogate, inner, learner, Tasks(before, after))
    return -after.returns.mean(), gradient


def train(
    world: World,
    inner: InnerLoop,
    begin: Learner,
    draw: Callable[[torch.Generator], Tensor],
    validation: Tensor,
    settings: Settings,
    *,
    checkpoint: Path,
) -> Learner:
    """The learner that is best on validation tasks after as many updates as it is trained for, resumed where it stood.

    Args:
        world: where the tasks are played.
        inner: one step, or none: one policy for all tasks together.
        begin: where to begin.
        draw: tasks of a step, (T, ...).
        validation: tasks to choose the best learner by.
        settings: of the outer loop.
        checkpoint: the file of this training.
    """

    def tasks(generator: torch.Generator) -> Tasks:
        some = draw(generator)
        return Tasks(some, torch.randint(2**31, (len(some),), generator=generator))

    def validate(learner: Learner) -> float:
        after = returns_after(world, Update(inner), learner, validation, updates=inner.steps, seed=0)
        return -float(after[:, -1].mean())

    def watch(progress: Progress) -> None:
        print(checkpoint.stem, progress, flush=True)

    gradient = partial(policy_meta_gradient, world, inner)
    about = f"{inner}, {world.episodes} episodes of {world.horizon} steps, discount {world.discount}"
    trainer = MetaTrainer(gradient, tasks, validate, settings, about=about, checkpoint=checkpoint, watch=watch)
    return trainer.train(begin)


class Update(NamedTuple):
    """How a policy that has been trained is adapted.

    Attributes:
        inner: one step.
        later: the share of its step that each update after the first takes (a half in Finn et al.); a rate that is
            right for a policy that knows nothing may be too high for one that has adapted.
    """

    inner: InnerLoop
    later: float = 1.0


def returns_after(world: World, how: Update, learner: Learner, tasks: Tensor, *, updates: int, seed: int) -> Tensor:
    """Mean return of each task before the first update and after each one, (T, S + 1).

    The episodes that an update is made of are those by which the policy before it is judged.
    """
    generator = torch.Generator().manual_seed(seed)
    params, found = copies(learner.params, len(tasks)), []
    for done in range(updates + 1):
        met = rollout(world, params, tasks, generator)
        found.append(met.returns)
        if done < updates:
            new = update(params, met, how.inner, learner.rule)
            share = how.later if done else 1.0
            params = {name: p + share * (new[name] - p) for name, p in params.items()}
    return torch.stack(found, dim=1)


def judge(
    world: World,
    choices: Sequence[Update],
    learner: Learner,
    validation: Tensor,
    tasks: Tensor,
    *,
    updates: int,
    seed: int,
) -> tuple[Tensor, list[Update]]:
    """Returns on tasks, (T, S + 1), and how they were reached.

    For each number of updates, 1 to S, it is the choice with the highest mean return on validation tasks after so many.
    """
    found = [returns_after(world, how, learner, validation, updates=updates, seed=1).mean(dim=0) for how in choices]
    best = [choices[place] for place in torch.stack(found).argmax(dim=0)[1:].tolist()]
    after = [
        returns_after(world, how, learner, tasks, updates=done, seed=2 + seed)[:, -1]
        for done, how in enumerate([best[0], *best])
    ]
    return torch.stack(after, dim=1), best
