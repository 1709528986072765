"""The outer loss: what a start and an update rule are worth, over tasks, and its gradient.

Shapes: T tasks; tensors of a batch of tasks have T in front. Tasks of unequal size are padded, and the loss leaves out
what the mask says (:func:`masked_mean`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from autometa.adaptation.inner_loop import Loss, Params, UpdateRule
from autometa.errors import InputError


class Learner(NamedTuple):
    """What the outer loop learns.

    Attributes:
        params: where every task begins.
        rule: what the update rule learns; see :meth:`UpdateRule.initial`.
    """

    params: Params
    rule: Params


class Tasks(NamedTuple):
    """T tasks in one: support and query sets, tensors in any nesting with T in front."""

    support: Any
    query: Any


# What is reckoned once for a batch instead of task by task, from parameters that no task moves.
Prepare = Callable[[Params, Tasks], Tasks]
# The outer loss of a learner on tasks, and the gradient of it (or what stands for one).
Gradient = Callable[[Learner, Tasks], tuple[Tensor, Learner]]


def learner(params: Params, inner: UpdateRule) -> Learner:
    """A learner that has learned nothing yet.

    Raises:
        InputError: something is no parameter that a gradient could move.
    """
    for name, p in params.items():
        if not p.is_floating_point():
            raise InputError(
                f"parameters are floating-point numbers; {name!r} is {p.dtype}. Leave buffers out: normalise by batch "
                "statistics (track_running_stats=False) or by layer"
            )
    return Learner(params, inner.initial(params))


def masked_mean(losses: Tensor, mask: Tensor) -> Tensor:
    """Mean of the losses that count: both of one shape, the mask 1 or 0. 0 where nothing counts.

    What is masked must be finite, because its gradient is multiplied by 0. Pad with zeros.

    Raises:
        InputError: the shapes differ.
    """
    if losses.shape != mask.shape:
        raise InputError(f"each loss has its mask; got shapes {tuple(losses.shape)} and {tuple(mask.shape)}")
    return torch.where(mask > 0, losses, 0.0).sum() / mask.to(losses).sum().clamp(min=1.0)


def outer_loss(loss: Loss, inner: UpdateRule, learner: Learner, task: Tasks) -> Tensor:
    """Query loss of one task (no T in front) after the inner loop, a scalar."""
    steps = inner.trajectory(loss, learner.params, task.support, learner.rule)
    if inner.weights is None:
        *_, adapted = steps
        return loss(adapted, task.query)
    losses = [w * loss(params, task.query) for w, params in zip(inner.weights, steps, strict=True) if w]
    return torch.stack(losses).sum()


def meta_gradient(
    loss: Loss,
    inner: UpdateRule,
    learner: Learner,
    tasks: Tasks,
    *,
    chunk: int | None = None,
    prepare: Prepare = lambda _, tasks: tasks,
) -> tuple[Tensor, Learner]:
    """Mean outer loss over T tasks, and its gradient.

    Args:
        loss: of parameters on data.
        inner: how a task moves the parameters.
        learner: where to take the gradient.
        tasks: the batch.
        chunk: tasks at a time, None for all. Memory grows with it and with the inner steps; the result is the same.
        prepare: makes what the loss is taken on of the learner's parameters and tasks, such as features that they
            share; the gradient goes through it. It must use parameters that the inner loop leaves alone.

    Raises:
        InputError: there is no task, tensors of the batch differ in T, or a chunk would be empty.
    """
    count = _count(tasks)
    tensors, form = tree_flatten(learner)
    total, sums = torch.zeros(()), [torch.zeros_like(t) for t in tensors]
    for some in chunks(tasks, chunk):
        # Outside vmap plain autograd does the same as torch.func.grad, with a third less time spent on bookkeeping.
        with torch.enable_grad():
            leaves = [t.detach().requires_grad_() for t in tensors]
            learning = tree_unflatten(leaves, form)
            ready = prepare(learning.params, some)
            losses = vmap(partial(outer_loss, loss, inner, learning), randomness="different")(ready)
            share = losses.sum() / count
        sums = [s + g for s, g in zip(sums, torch.autograd.grad(share, leaves, materialize_grads=True), strict=True)]
        total = total + share.detach().cpu()
    return total, tree_unflatten(sums, form)


@torch.no_grad()
def query_losses(loss: Loss, inner: UpdateRule, learner: Learner, tasks: Tasks, *, chunk: int | None = None) -> Tensor:
    """Query loss of each task before the first step and after each one, (T, S + 1); arguments as above."""

    def of_one(task: Tasks) -> Tensor:
        steps = inner.trajectory(loss, learner.params, task.support, learner.rule)
        return torch.stack([loss(params, task.query) for params in steps])

    return torch.cat([vmap(of_one, randomness="different")(some) for some in chunks(tasks, chunk)])


def in_bfloat16(loss: Loss) -> Loss:
    """The same loss under autocast: matrix products in bfloat16, and what follows them unless the loss casts it.

    Parameters, inner steps and gradients stay as they are; the loss comes out in float32.
    """

    def mixed(params: Mapping[str, Tensor], data: Any) -> Tensor:
        with torch.autocast(next(iter(params.values())).device.type, dtype=torch.bfloat16):
            value = loss(params, data)
        return value.float()

    return mixed


def chunks(tasks: Tasks, chunk: int | None) -> Iterator[Tasks]:
    """The tasks, so many at a time."""
    count = _count(tasks)
    size = count if chunk is None else chunk
    if size < 1:
        raise InputError(f"a chunk has at least one task; got chunk={chunk}")
    for first in range(0, count, size):
        yield tree_map(lambda x, at=first: x[at : at + size], tasks)


def _count(tasks: Tasks) -> int:
    counts = {len(x) for x in tree_leaves(tasks)}
    if len(counts) != 1 or 0 in counts:
        raise InputError(f"all tensors of a batch have the number of tasks in front, at least 1; got {sorted(counts)}")
    return counts.pop()
