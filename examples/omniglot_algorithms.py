"""The rows of the Omniglot example: what is trained how, and how it then classifies.

Shapes: T episodes of an outer step, w ways, k shots, q query images of a class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from omniglot_classifiers import (
    WAYS,
    Classifier,
    Labelled,
    by_adaptation,
    by_features,
    class_means,
    nearest,
    pixels,
    squared_distances,
    tuned_head,
)
from omniglot_data import as_ink, distorted, episodes
from omniglot_network import FEATURES, cross_entropy, features
from torch import Tensor
from torch.nn import functional

from autometa.adaptation import (
    InnerLoop,
    Learner,
    Params,
    Tasks,
    meta_gradient,
    reptile_gradient,
)

# The batch of an outer step, from the training characters, a generator and k.
Draw = Callable[[Tensor, torch.Generator, int], Tasks]
NOTHING = InnerLoop(steps=0)  # what neither adapts nor learns a rule
few_at_a_time = partial(meta_gradient, chunk=4)  # of eight tasks: on a CPU a tenth to a fifth faster than all together
SHARPNESS = 8.0  # of ProtoNet's softmax over mean squared differences of features


@dataclass(frozen=True)
class Training:
    """How a learner is trained.

    Attributes:
        inner: of the learner.
        draw: makes the batch of an outer step.
        steps: of the outer loop.
        loss, gradient: of the outer loop.
        outer: settings of the outer loop that differ from the usual ones.
        all_characters: whether the head has an output for each training character rather than for each of w ways.
    """

    inner: InnerLoop
    draw: Draw
    steps: int
    loss: Callable[..., Tensor] = cross_entropy
    gradient: Callable[..., tuple[Tensor, Learner]] = few_at_a_time
    outer: Mapping[str, object] = field(default_factory=dict)
    all_characters: bool = False


@dataclass(frozen=True)
class Algorithm:
    """A row of the table.

    Attributes:
        title: in the table.
        training: name of the training, None for none.
        classifiers: by name; the best on validation episodes is the one that is tested.
    """

    title: str
    training: str | None
    classifiers: Mapping[str, Classifier]


def adapted(inner: InnerLoop) -> dict[str, Classifier]:
    """As it is trained for, or by more and smaller steps."""
    return {
        f"{times * inner.steps} steps, {share} of the rate": by_adaptation(
            replace(inner, steps=times * inner.steps), share=share
        )
        for times, share in ((1, 1.0), (3, 0.5), (5, 0.5), (10, 0.25))
    }


def few_shot(tasks: int, *, ways: int = WAYS, queries: int = 5) -> Draw:
    """Episodes of distorted drawings."""

    def draw(characters: Tensor, generator: torch.Generator, shots: int) -> Tasks:
        (support, at), (query, on) = episodes(
            characters, generator, tasks=tasks, ways=ways, shots=shots, queries=queries
        )
        return Tasks((distorted(support, generator), at), (distorted(query, generator), on))

    return draw


def prototype_episodes(tasks: int, *, ways: int) -> Draw:
    """Episodes whose query set has the support set with it: both are embedded together."""

    def draw(characters: Tensor, generator: torch.Generator, shots: int) -> Tasks:
        both = few_shot(tasks, ways=ways)(characters, generator, shots)
        return Tasks(torch.zeros(tasks), tuple(both))

    return draw


def small_batches(tasks: int, steps: int) -> Draw:
    """Reptile's: for each inner step two drawings of each class that no other step sees, whatever k is."""

    def draw(characters: Tensor, generator: torch.Generator, _: int) -> Tasks:
        (images, labels), query = few_shot(tasks, queries=1)(characters, generator, 2 * steps)

        def by_step(x: Tensor) -> Tensor:
            return x.unflatten(1, (WAYS, steps, 2)).transpose(1, 2).flatten(2, 3)

        return Tasks((by_step(images), by_step(labels)), query)

    return draw


def all_characters(images: int) -> Draw:
    """Distorted drawings of any training characters, as one task with nothing to adapt to."""

    def draw(characters: Tensor, generator: torch.Generator, _: int) -> Tasks:
        count, drawings = characters.shape[:2]
        labels = torch.randint(count, (1, images), generator=generator)
        drawn = characters[labels, torch.randint(drawings, (1, images), generator=generator)]
        return Tasks(torch.zeros(1), (distorted(as_ink(drawn), generator), labels))

    return draw


def prototype_loss(params: Params, data: tuple[Labelled, Labelled], *, ways: int) -> Tensor:
    """Of prototypical networks (Snell et al. 2017), with mean rather than summed squares lest the softmax saturate."""
    (support, at), (query, on) = data
    found = features(params, torch.cat([support, query]))
    distances = squared_distances(found[len(support) :], class_means(found[: len(support)], at, ways))
    return functional.cross_entropy(-SHARPNESS / FEATURES * distances, on)


# Chosen on the validation alphabet, 1-shot after 300 outer steps. FOMAML has 0.78; with one step of 0.1 it has 0.61,
# with three of 0.4 0.60. Reptile has 0.80; with rate 0.05 it has 0.68. Pretraining has 0.86; with outer rate 1e-3 0.78.
MAML = InnerLoop(rate=0.4)
FOMAML = InnerLoop(steps=3, rate=0.1, second_order=False)
META_SGD = InnerLoop(rate=0.4, rates="per parameter")
ANIL = InnerLoop(steps=3, rate=0.4, adapts=("head",))
REPTILE = InnerLoop(steps=8, rate=0.2, batches=True)

TRAININGS = {
    "maml": Training(MAML, few_shot(8), 4_000),
    "fomaml": Training(FOMAML, few_shot(8), 4_000),
    "meta-sgd": Training(META_SGD, few_shot(8), 4_000),
    "anil": Training(ANIL, few_shot(8), 4_000),
    "reptile": Training(
        REPTILE,
        small_batches(4, REPTILE.steps),
        4_000,
        gradient=reptile_gradient,
        outer={"optimiser": "sgd", "rate": 1.0, "clip": None},
    ),
    "protonet": Training(NOTHING, prototype_episodes(2, ways=20), 4_000, partial(prototype_loss, ways=20)),
    "pretraining": Training(NOTHING, all_characters(128), 4_000, outer={"rate": 3e-3}, all_characters=True),
}

NEAREST = {
    f"{'cosine' if cosine else 'Euclidean'}, {'class mean' if means else 'image'}": nearest(cosine=cosine, means=means)
    for cosine in (True, False)
    for means in (True, False)
}

ALGORITHMS = {
    "maml": Algorithm("MAML", "maml", adapted(MAML)),
    "fomaml": Algorithm("FOMAML", "fomaml", adapted(FOMAML)),
    "meta-sgd": Algorithm("Meta-SGD", "meta-sgd", adapted(META_SGD)),
    "anil": Algorithm("ANIL", "anil", adapted(ANIL)),
    "reptile": Algorithm(
        "Reptile",
        "reptile",
        {f"{steps} steps": by_adaptation(InnerLoop(steps=steps, rate=REPTILE.rate)) for steps in (8, 16, 32)},
    ),
    "protonet": Algorithm("ProtoNet", "protonet", {"": by_features(nearest(cosine=False, means=True))}),
    "nearest": Algorithm(
        "pretraining + nearest neighbour",
        "pretraining",
        {name: by_features(compare) for name, compare in NEAREST.items()},
    ),
    "head": Algorithm(
        "pretraining + fine-tuned head",
        "pretraining",
        {f"rate {rate}": by_features(tuned_head(steps=50, rate=rate)) for rate in (0.003, 0.01, 0.03, 0.1)},
    ),
    "pixels": Algorithm(
        "nearest neighbour on pixels",
        None,
        {name: by_features(compare, embed=pixels) for name, compare in NEAREST.items()},
    ),
}
