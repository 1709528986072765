"""Torch networks on the dense design: one network, or an ensemble inside one (TabM)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autometa.architectures.devices import training_device
from autometa.architectures.embeddings import QuantileBins
from autometa.architectures.tabular import Shape, TabularNetwork
from autometa.architectures.training import Recipe, Rows, predict, train
from autometa.errors import ModelError
from autometa.space import Config
from autometa.tables.learners.contract import Fitted, Job, Part
from autometa.tables.preprocess import Design
from autometa.tables.state import State

# A small table is passed in this many steps at least.
STEPS_PER_EPOCH, SMALLEST_BATCH = 20, 32
# Patience is counted in steps: an epoch of a large table is a long time.
PATIENT_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 250, 4, 12
# More than any config asks for; a saved model is held to it before anything is built.
MOST_BLOCKS = 100


@dataclass(frozen=True)
class Network:
    """A fitted network.

    Attributes:
        module: in its best state.
        bins: encoding of the continuous columns before the network, or None.
        width: number of columns that it reads.
        classes: whether its outputs are scores of classes.
    """

    module: TabularNetwork
    bins: QuantileBins | None
    width: int
    classes: bool

    @property
    def outputs(self) -> int:
        """Columns of a prediction."""
        return self.module.shape.outputs

    def predict(self, design: Design) -> NDArray[np.float32]:
        """Probabilities or values, shape (n, k)."""
        if design.width != self.width:
            raise ModelError(f"the network reads {self.width} columns; it was given {design.width}")
        if not len(design):
            return np.empty((0, self.outputs), np.float32)
        with _threads(1):
            found = predict(self.module, _inputs(design, self.bins), classes=self.classes)
        return found.numpy()

    def state(self) -> State:
        """What to save."""
        arrays = {f"weights/{name}": value.numpy() for name, value in self.module.state_dict().items()}
        if self.bins is not None:
            arrays["edges"] = self.bins.edges
        settings = {
            "shape": asdict(self.module.shape),
            "width": self.width,
            "classes": self.classes,
            "bins": self.bins is not None,
        }
        return State(settings, arrays)


def fit(job: Job) -> Fitted:
    """Train until the validation loss stops falling."""
    config, design = job.config, job.train.design
    bins = None
    if config["network_embedding"] == "piecewise_linear" and design.continuous:
        bins = QuantileBins.fit(design.numbers[:, : design.continuous], int(config["network_embedding_size"]))
    rows, valid = (_rows(part, job, bins) for part in (job.train, job.valid))
    batch = min(int(config["network_batch_size"]), max(SMALLEST_BATCH, len(rows) // STEPS_PER_EPOCH))
    recipe = Recipe(
        learning_rate=float(config["network_learning_rate"]),
        weight_decay=float(config["network_weight_decay"]),
        batch_size=batch,
        label_smoothing=float(config["network_label_smoothing"]),
        patience=min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(PATIENT_STEPS * batch / len(rows)))),
        deadline=job.deadline,
    )
    with _threads(job.threads), _own_randomness(job.seed) as generator:
        module = TabularNetwork(_shape(config, design, rows.inputs.shape[1], job.outputs))
        with training_device(job.gpus) as device:
            training = train(module.to(device), rows.to(device), valid.to(device), recipe, generator)
            module.cpu()
    learner = Network(module, bins, design.width, job.kind != "regression")
    return Fitted(learner, training.curve, training.stopped_by_clock)


def restore(state: State) -> Network:
    """What ``state()`` gave."""
    settings = state.settings
    shape, width = Shape(**settings["shape"]), int(settings["width"])
    bins = QuantileBins(state.array("edges", np.float32, None, None)) if settings["bins"] else None
    inputs = width + (0 if bins is None else bins.added)
    if shape.inputs != inputs or not 0 <= shape.periodic <= width or not 1 <= shape.blocks <= MOST_BLOCKS:
        raise ModelError("the layers of the saved network do not fit its columns; save the model again")
    # Without memory or starting weights: both come from the file.
    with _own_randomness(0), torch.device("meta"):
        module = TabularNetwork(shape)
    weights: dict[str, torch.Tensor] = {}
    for name, value in module.state_dict().items():
        kind = np.dtype(str(value.dtype).removeprefix("torch.")).type
        weights[name] = torch.from_numpy(state.array(f"weights/{name}", kind, *value.shape).copy())
    module.load_state_dict(weights, assign=True)
    return Network(module.eval(), bins, width, bool(settings["classes"]))


def _shape(config: Config, design: Design, inputs: int, outputs: int) -> Shape:
    named: Mapping[str, Any] = config
    periodic = design.continuous if named["network_embedding"] == "periodic" else 0
    return Shape(
        inputs=inputs,
        outputs=outputs,
        blocks=named["network_blocks"],
        width=named["network_width"],
        residual=named["network_residual"],
        activation=named["network_activation"],
        normalisation=named["network_normalisation"],
        dropout=named["network_dropout"],
        members=named["tabm_ensemble_width"] if named["algorithm"] == "tabm" else 1,
        periodic=periodic,
        periodic_size=named["network_embedding_size"] if periodic else 2,
        periodic_scale=named["network_embedding_scale"] if periodic else 1.0,
    )


def _rows(part: Part, job: Job, bins: QuantileBins | None) -> Rows:
    target = part.target if job.kind != "regression" else part.target.astype(np.float32)
    weights = None if part.weights is None else torch.from_numpy(part.weights.astype(np.float32))
    return Rows(_inputs(part.design, bins), torch.from_numpy(target), weights)


def _inputs(design: Design, bins: QuantileBins | None) -> torch.Tensor:
    if bins is None:
        return torch.from_numpy(design.numbers)
    numbers, others = design.numbers[:, : design.continuous], design.numbers[:, design.continuous :]
    return torch.from_numpy(np.concatenate([numbers, bins.encode(numbers), others], axis=1))


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _own_randomness(seed: int) -> Iterator[torch.Generator]:
    """Seeds torch's generator, which starting weights and dropout draw from, and puts it back afterwards."""
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield generator
    finally:
        generator.set_state(before)
