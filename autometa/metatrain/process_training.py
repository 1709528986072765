"""Meta-training of the process: episodes of many tasks, one of six algorithms, resumable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from autometa.adaptation import InnerLoop, Learner, MetaTrainer, Progress, learner, meta_gradient, reptile_gradient
from autometa.adaptation import Settings as OuterLoop
from autometa.errors import InputError
from autometa.metatrain.episodes import Episodes
from autometa.policies.learned_process import LearnedProcess
from autometa.policies.meta_features import Reader
from autometa.policies.process_network import HEAD, Part, ProcessNetwork, embedded_once, negative_log_likelihood

if TYPE_CHECKING:
    from pathlib import Path

    from autometa.records.prior_tasks import PriorTasks, Scaling

Algorithm = Literal["joint", "anil", "meta-sgd", "maml", "fomaml", "reptile"]
CLIP = 5.0  # largest norm of an outer gradient


@dataclass(frozen=True)
class Settings:
    """How the process is meta-trained.

    Attributes:
        algorithm: "joint" adapts by exact inference and the hypernetwork alone; "anil" and "meta-sgd" also move the
            parameters that emit the head, at one rate or at learned ones; "maml", "fomaml" and "reptile" all of them.
        steps: of the outer loop.
        rate: of its optimiser, falling to 0.
        inner_steps: gradient steps on the trials of a task.
        inner_rate: of these.
        scaling: of the losses.
        batch: tasks in a step.
        width: of the network's layers.
        emits: whether the hypernetwork emits the head; see :class:`ProcessNetwork`.
        reads: whether it reads meta-features.
        without: parts of the process that are left out; see :class:`ProcessNetwork`.
        validate_every: steps between two validations.
        seed: of everything.
    """

    algorithm: Algorithm = "joint"
    steps: int = 4_000
    rate: float = 2e-3
    inner_steps: int = 1
    inner_rate: float = 0.01
    scaling: Scaling = "min_max"
    batch: int = 16
    width: int = 64
    emits: bool = True
    reads: bool = True
    without: tuple[Part, ...] = ()
    validate_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if self.algorithm not in get_args(Algorithm):
            raise InputError(f"the algorithm is one of {', '.join(get_args(Algorithm))}; got {self.algorithm!r}")

    @property
    def inner(self) -> InnerLoop:
        """The steps on the trials of a task."""
        steps, rate = self.inner_steps, self.inner_rate
        match self.algorithm:
            case "joint":
                return InnerLoop(steps=0)
            case "anil":
                return InnerLoop(steps, rate, adapts=HEAD)
            case "meta-sgd":
                return InnerLoop(steps, rate, rates="per parameter", adapts=HEAD)
            case "maml":
                return InnerLoop(steps, rate)
            case "fomaml" | "reptile":
                return InnerLoop(steps, rate, second_order=False)


def meta_train(
    sources: Sequence[PriorTasks],
    settings: Settings,
    *,
    validate: Callable[[LearnedProcess], float],
    shares: Sequence[float] = (),
    checkpoint: Path | None = None,
    watch: Callable[[Progress], None] = lambda _: None,
    time_limit: float | None = None,
    card: Callable[[Progress], Mapping[str, Any]] = lambda _: {},
) -> LearnedProcess:
    """The process with the lowest validation among those looked at.

    Args:
        sources: prior tasks to learn from, each on a pool of its own.
        settings: how.
        validate: how bad a process is, on tasks that are not among the sources; such as its replayed regret.
        shares: how often each source is drawn from; by the square root of its tasks where not said.
        checkpoint: file that a training which was stopped goes on from.
        watch: is told how it goes.
        time_limit: seconds after which it ends with the best so far; None for none.
        card: what the process is to say of where it comes from, given how the training went.

    Raises:
        InputError: there is nothing to learn from.
        ModelError: the checkpoint is of another training, or damaged.
    """
    if not sources or not any(len(s) for s in sources):
        raise InputError("meta-training needs prior tasks with 5 evaluated configs or more; got none")
    reader = Reader.fit([f for s in sources for f in s.features]) if settings.reads else Reader()
    torch.manual_seed(settings.seed)
    network = ProcessNetwork(features=len(reader), width=settings.width, emits=settings.emits, without=settings.without)
    loss = partial(negative_log_likelihood, network)
    inner = settings.inner
    gradient = partial(reptile_gradient if settings.algorithm == "reptile" else meta_gradient, loss, inner)
    if settings.algorithm in ("joint", "anil", "meta-sgd"):  # the encoder is the same for all tasks
        gradient = partial(gradient, prepare=partial(embedded_once, network))
    episodes = Episodes(sources, reader, settings.scaling, settings.batch, shares=tuple(shares))

    def process(learned: Learner) -> LearnedProcess:
        found = ProcessNetwork(**network.settings)
        found.load_state_dict(learned.params)
        return LearnedProcess(found, reader, inner, learned.rule)

    trainer = MetaTrainer(
        gradient,
        episodes.draw,
        lambda learned: validate(process(learned)),
        OuterLoop(
            steps=settings.steps,
            rate=settings.rate,
            cosine=True,
            clip=CLIP,
            validate_every=settings.validate_every,
            seed=settings.seed,
        ),
        about=f"{asdict(settings)} on {_digest(sources, shares)}",
        checkpoint=checkpoint,
        watch=watch,
        time_limit=time_limit,
    )
    start = {name: p.detach().clone() for name, p in network.named_parameters()}
    found = process(trainer.train(learner(start, inner)))
    assert trainer.progress is not None
    return replace(found, card=card(trainer.progress))


def _digest(sources: Sequence[PriorTasks], shares: Sequence[float]) -> str:
    """Of all that is learned from: a training on other data is another training."""
    digest = hashlib.sha256(repr(tuple(shares)).encode())
    for source in sources:
        digest.update(repr((source.names, source.pool.space.name, source.features)).encode())
        digest.update(source.pool.units.tobytes())
        digest.update(source.losses.tobytes())
    return digest.hexdigest()[:16]
