"""Networks: their parts against formulas, their training against plain torch."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from autometa.architectures.dropout import MaskPool, PooledDropout
from autometa.architectures.embeddings import PeriodicEmbedding, QuantileBins
from autometa.architectures.tabular import MemberLinear, Shape, TabularNetwork
from autometa.architectures.training import FlatWeights, Recipe, Rows, measure, predict, train


@pytest.fixture(autouse=True)
def _own_randomness():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def shape(**given):
    options = {
        "inputs": 5,
        "outputs": 3,
        "blocks": 2,
        "width": 16,
        "residual": True,
        "activation": "silu",
        "normalisation": "layer",
        "dropout": 0.1,
    }
    return Shape(**{**options, **given})


def rows_of(count=200, *, classes=3, weights=None, inputs=5):
    x = torch.randn(count, inputs)
    raw = x[:, 0] + 0.5 * x[:, 1]
    target = torch.bucketize(raw, torch.tensor([-0.4, 0.4])) if classes else raw
    return Rows(x, target, weights)


def generator():
    return torch.Generator().manual_seed(0)


# Parts


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("normalisation", ["none", "layer", "batch"])
@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("periodic", [0, 3])
def test_every_shape_of_network_learns(residual, normalisation, members, periodic):
    network = TabularNetwork(
        shape(residual=residual, normalisation=normalisation, members=members, periodic=periodic, blocks=1)
    )
    rows = rows_of()
    assert network(rows.inputs).shape == (members, 200, 3)
    before = measure(network, rows)
    train(network, rows, rows, Recipe(1e-2, 0.01, 64, epochs=8), generator())
    assert measure(network, rows) < 0.7 * before


@pytest.mark.parametrize("activation", ["relu", "silu", "mish", "selu"])
def test_every_activation_is_there(activation):
    assert TabularNetwork(shape(activation=activation))(torch.randn(4, 5)).shape == (1, 4, 3)


def test_periodic_features_follow_their_formula():
    embedding = PeriodicEmbedding(2, 4, 0.5)
    x = torch.randn(7, 2)
    found = embedding(x)
    assert found.shape == (7, 8)
    assert torch.equal(found[:, :2], x)
    column = 1
    angles = 2 * math.pi * x[:, column, None] * embedding.frequency[column] + embedding.phase[column]
    expected = angles.cos() @ embedding.weight[column] + embedding.bias[column]
    assert torch.allclose(found[:, 2 + 3 * column : 5 + 3 * column], expected, atol=1e-5)


def test_quantile_bins_fill_from_the_left():
    numbers = np.linspace(0, 4, 101, dtype=np.float32)[:, None]
    bins = QuantileBins.fit(numbers, 4)
    found = bins.encode(np.array([[-1.0], [1.5], [9.0]], np.float32))
    assert np.allclose(found, [[0, 0, 0, 0], [1, 0.5, 0, 0], [1, 1, 1, 1]], atol=1e-5)


def test_quantile_bins_of_few_values_stay_finite():
    numbers = np.array([[0.0], [0.0], [0.0], [1.0]], np.float32)
    bins = QuantileBins.fit(numbers, 8)
    assert np.isfinite(bins.encode(numbers)).all()
    assert bins.encode(numbers)[:3].max() == 0


def test_members_are_networks_of_their_own():
    layer = MemberLinear(5, 6, 3, first=True)
    rows = torch.randn(3, 8, 5)
    for i in range(3):
        weight = layer.after[i, 0][:, None] * layer.weight * layer.before[i, 0]
        assert torch.allclose(layer(rows)[i], rows[i] @ weight.t() + layer.bias[i, 0], atol=1e-5)


def test_dropout_from_a_pool_keeps_the_mean_and_varies():
    layer = PooledDropout(0.25, MaskPool())
    ones = torch.ones(400, 100)
    one, two = layer(ones), layer(ones)
    assert one.mean() == pytest.approx(1.0, abs=0.02)
    assert (one == 0).float().mean() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(one, two)
    assert torch.equal(layer.eval()(ones), ones)


# Training


def test_flat_weights_step_as_adamw_does():
    one, two = (TabularNetwork(shape(dropout=0.0, normalisation="none")) for _ in range(2))
    two.load_state_dict(one.state_dict())
    rows = rows_of(64)
    recipe = Recipe(1e-3, 0.1, 64)
    flat = FlatWeights(one)
    matrices = [p for p in two.parameters() if p.dim() > 1]
    others = [p for p in two.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizers = flat.optimizer(recipe), torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
    for _ in range(5):
        for network, optimizer in zip((one, two), optimizers, strict=True):
            optimizer.zero_grad(set_to_none=False)
            functional.cross_entropy(network(rows.inputs)[0], rows.target).backward()
            optimizer.step()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_the_network_ends_with_its_best_average():
    network = TabularNetwork(shape(width=64))
    rows, valid = rows_of(60), rows_of(60)
    done = train(network, rows, valid, Recipe(2e-2, 0.0, 16, epochs=40), generator())
    assert measure(network, valid) == pytest.approx(min(done.curve), rel=1e-4)
    assert all(p.grad is None for p in network.parameters())


def test_weights_of_two_count_as_rows_twice():
    doubled = torch.tensor([2.0] * 50 + [0.5] * 50)
    rows = rows_of(100)
    network = TabularNetwork(shape(dropout=0.0))
    weighted = measure(network, Rows(rows.inputs, rows.target, doubled))
    parts = [measure(network, Rows(rows.inputs[part], rows.target[part])) for part in (slice(50), slice(50, 100))]
    assert weighted == pytest.approx((2.0 * parts[0] + 0.5 * parts[1]) / 2.5, rel=1e-5)


def test_rows_without_weight_are_not_learned():
    rows = rows_of(200)
    wrong = torch.arange(200) % 2 == 0
    target = torch.where(wrong, 2 - rows.target, rows.target)
    network = TabularNetwork(shape())
    train(
        network,
        Rows(rows.inputs, target, (~wrong).float() * 2),
        Rows(rows.inputs[:0], target[:0]),
        Recipe(1e-2, 0.0, 50, epochs=20),
        generator(),
    )
    found = predict(network, rows.inputs, classes=True).argmax(dim=1)
    assert (found == rows.target).float().mean() > 0.85


def test_a_regression_learns_values():
    rows = rows_of(300, classes=0)
    network = TabularNetwork(shape(outputs=1, members=4))
    done = train(network, rows, rows, Recipe(1e-2, 0.0, 64, epochs=30), generator())
    assert done.curve[-1] < 0.1
    assert predict(network, rows.inputs, classes=False).shape == (300, 1)


def test_training_ends_at_its_deadline():
    network = TabularNetwork(shape())
    rows = rows_of(2000)
    done = train(network, rows, rows, Recipe(1e-3, 0.0, 32, epochs=1000, deadline=0.0), generator())
    assert done.stopped_by_clock
    assert len(done.curve) == 1


def test_training_ends_when_a_patience_gains_next_to_nothing():
    rows = Rows(torch.zeros(50, 5), torch.arange(50) % 3)
    network = TabularNetwork(shape())
    done = train(network, rows, rows, Recipe(1e-3, 0.0, 32, epochs=500, patience=5), generator())
    assert len(done.curve) < 100


def test_predictions_are_the_same_in_parts(monkeypatch):
    network = TabularNetwork(shape(members=4))
    rows = torch.randn(1000, 5)
    whole = predict(network, rows, classes=True)
    monkeypatch.setattr("autometa.architectures.training.PREDICT_VALUES", 1)
    assert torch.allclose(predict(network, rows, classes=True), whole, atol=1e-6)
    assert isinstance(network, nn.Module)
