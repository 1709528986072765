"""Reptile: move the start to where tasks end up (Nichol et al. 2018, "On First-Order Meta-Learning Algorithms")."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_map

from autometa.adaptation.inner_loop import InnerLoop, Loss, adapt
from autometa.adaptation.outer_loss import Learner, Tasks


def reptile_gradient(loss: Loss, inner: InnerLoop, learner: Learner, tasks: Tasks) -> tuple[Tensor, Learner]:
    """Mean query loss over T tasks after the inner loop, and the way from where they end to the start.

    The way, start minus mean end, stands for a gradient: SGD with rate e moves the start by e towards the mean end. One
    task at a time is the serial form, T > 1 the batched one. With one inner step the way is the inner rate times the
    gradient of the mean support loss: Reptile is then training on all tasks together.

    Args:
        loss: of parameters on data.
        inner: gradient descent with a fixed rate; ``batches=True`` gives each step a batch of its own.
        learner: the start; its rule is empty.
        tasks: the batch. The query sets are only looked at.
    """

    def of_one(task: Tasks) -> tuple[Tensor, dict[str, Tensor]]:
        adapted = adapt(loss, learner.params, task.support, inner, rule=learner.rule)
        return loss(adapted, task.query), adapted

    with torch.no_grad():
        losses, adapted = vmap(of_one, randomness="different")(tasks)
        way = {name: p - adapted[name].mean(dim=0) for name, p in learner.params.items()}
    return losses.mean().cpu(), Learner(way, tree_map(torch.zeros_like, learner.rule))
