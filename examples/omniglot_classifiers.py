"""How the Omniglot example classifies a query set: by a network adapted to the support set, or by its features.

An image is normalised together with others. Transductive: a network that was adapted sees all query images at once, and
features are those of the support and all query images at once. Not transductive ("alone"): one query image at a time
together with the support set.

Shapes: T episodes, m support images, q query images, w ways, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from omniglot_network import cross_entropy, features, head
from torch import Tensor
from torch.func import vmap
from torch.nn import functional

from autometa.adaptation import InnerLoop, Learner, Params, Tasks, adapt

WAYS = 5

Labelled = tuple[Tensor, Tensor]  # images (m, 28, 28) and labels (m,)
# Scores (q, w) of query features (q, F), from support features (m, F) and their labels (m,).
Compare = Callable[[Tensor, Tensor, Tensor], Tensor]


class Classifier(Protocol):
    """Scores (q, w) of query images (q, 28, 28) after a look at the support set."""

    def __call__(self, learner: Learner, support: Labelled, images: Tensor, *, alone: bool) -> Tensor:
        """Classify one episode."""
        ...


def accuracies(classify: Classifier, learner: Learner, tasks: Tasks, *, alone: bool) -> Tensor:
    """Share of the query images of each episode that are classified right, (T,)."""

    def of_one(task: Tasks) -> Tensor:
        images, labels = task.query
        scores = classify(learner, task.support, images, alone=alone)
        return (scores.argmax(dim=1) == labels).float().mean()

    with torch.no_grad():
        # Measured: the fewer activations at a time, the better the processor's caches hold them.
        return vmap(of_one, chunk_size=1 if alone else 2)(tasks)


def by_adaptation(inner: InnerLoop, *, share: float = 1.0) -> Classifier:
    """The network that the inner loop makes of the learner on the support set, by so great a share of each rate."""
    smaller = replace(inner, rate=share * inner.rate)

    def classify(learner: Learner, support: Labelled, images: Tensor, *, alone: bool) -> Tensor:
        rates = {name: share * rate for name, rate in learner.rule.items()}
        adapted = adapt(cross_entropy, learner.params, support, smaller, rule=rates)

        def scores(some: Tensor) -> Tensor:
            return head(adapted, features(adapted, some))

        return _each(scores, support[0], images)[:, -1] if alone else scores(images)

    return classify


def by_features(compare: Compare, *, embed: Callable[[Params, Tensor], Tensor] = features) -> Classifier:
    """Whatever ``compare`` makes of the features of both sets."""

    def classify(learner: Learner, support: Labelled, images: Tensor, *, alone: bool) -> Tensor:
        count = len(support[0])

        def scores(some: Tensor) -> Tensor:
            found = embed(learner.params, some)
            return compare(found[:count], support[1], found[count:])

        return _each(scores, support[0], images)[:, 0] if alone else scores(torch.cat([support[0], images]))

    return classify


def _each(scores: Callable[[Tensor], Tensor], support: Tensor, images: Tensor) -> Tensor:
    """Scores of the support images and one query image, for each query image."""
    return vmap(lambda image: scores(torch.cat([support, image[None]])))(images)


def pixels(_: Params, images: Tensor) -> Tensor:
    """Images as their own features."""
    return images.flatten(1)


def nearest(*, cosine: bool, means: bool) -> Compare:
    """The class of the nearest support image, or of the nearest class mean, by angle or by Euclidean distance."""

    def compare(support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        if cosine:
            support, query = functional.normalize(support), functional.normalize(query)
        if means:
            return -squared_distances(query, class_means(support, labels, WAYS))
        distances = squared_distances(query, support)[:, :, None]
        return -torch.where(member(labels, WAYS), distances, torch.inf).amin(dim=1)

    return compare


def tuned_head(*, steps: int, rate: float) -> Compare:
    """A linear head that gradient descent fits to the support features."""

    def loss(params: Params, data: Labelled) -> Tensor:
        return functional.cross_entropy(head(params, data[0]), data[1])

    def compare(support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        start = {"head.weight": support.new_zeros(support.shape[1], WAYS), "head.bias": support.new_zeros(WAYS)}
        fitted = adapt(loss, start, (support, labels), InnerLoop(steps=steps, rate=rate, second_order=False))
        return head(fitted, query)

    return compare


def member(labels: Tensor, ways: int) -> Tensor:
    """Whether image m is of class w, (m, w)."""
    return labels[:, None] == torch.arange(ways)


def class_means(x: Tensor, labels: Tensor, ways: int) -> Tensor:
    """Mean features of each class: (m, F) with labels (m,) to (w, F)."""
    weights = member(labels, ways).to(x.dtype)
    return weights.T @ x / weights.sum(dim=0)[:, None]


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Between rows of (q, F) and of (m, F), (q, m); by products, which need no memory for q * m * F numbers."""
    return (x * x).sum(dim=1)[:, None] - 2 * x @ y.T + (y * y).sum(dim=1)
