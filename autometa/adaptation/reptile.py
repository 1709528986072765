"""Reptile: move the start to where tasks end up (Nichol et al. 2018, "On First-Order Meta-Learning Algorithms")."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import vmap

from autometa.adaptation.inner_loop import InnerLoop, Loss, Params, adapt
from autometa.adaptation.outer_loss import Learner, Tasks, chunks


@torch.no_grad()
def reptile_gradient(
    loss: Loss, inner: InnerLoop, learner: Learner, tasks: Tasks, *, chunk: int | None = None
) -> tuple[Tensor, Learner]:
    """Mean query loss over T tasks after the inner loop, and the way from where they end to the start.

    The way, start minus mean end, stands for a gradient: SGD with rate e moves the start by e towards the mean end. One
    task at a time is the serial form, T > 1 the batched one. With one inner step the way is the inner rate times the
    gradient of the mean support loss: Reptile is then training on all tasks together. The paper's inner loop is Adam's,
    this one is plain gradient descent.

    Args:
        loss: of parameters on data.
        inner: gradient descent with a fixed rate; ``batches=True`` gives each step a batch of its own.
        learner: the start; its rule is empty.
        tasks: the batch. The query sets are only looked at.
        chunk: tasks at a time, None for all.

    Raises:
        InputError: there is no task, tensors of the batch differ in T, or a chunk would be empty.
    """

    def of_one(task: Tasks) -> tuple[Tensor, Params]:
        adapted = adapt(loss, learner.params, task.support, inner, rule=learner.rule)
        return loss(adapted, task.query), {name: p - adapted[name] for name, p in learner.params.items()}

    parts = [vmap(of_one, randomness="different")(some) for some in chunks(tasks, chunk)]
    losses = torch.cat([losses for losses, _ in parts])
    way = {name: torch.cat([ways[name] for _, ways in parts]).mean(dim=0) for name in learner.params}
    return losses.mean().cpu(), Learner(way, {})
