"""Oracles of the meta-learning algorithms: closed forms and finite differences. Each would catch a well-known defect."""

import math

import pytest
import torch
from torch.func import grad

from autometa.adaptation import (
    InnerLoop,
    Learner,
    LSTMRule,
    Tasks,
    adapt,
    in_bfloat16,
    learner,
    masked_mean,
    meta_gradient,
    outer_loss,
    query_losses,
    reptile_gradient,
)
from autometa.adaptation.lstm_rule import P, lstm_cell, preprocess
from autometa.errors import InputError

RATE = 0.1
D = 4  # numbers in a parameter
T = 5  # tasks
DOUBLE = {"dtype": torch.float64}


def quadratic(params, data):
    """1/2 (w - c)' A (w - c), with gradient A (w - c) and Hessian A."""
    matrix, centre = data
    away = params["w"] - centre
    return 0.5 * away @ matrix @ away


def quadratics(*, tasks=T, seed=0):
    """Tasks whose support and query sets are quadratics of different curvature and centre."""
    generator = torch.Generator().manual_seed(seed)

    def some():
        root = torch.randn(tasks, D, D, generator=generator, **DOUBLE)
        centre = torch.randn(tasks, D, generator=generator, **DOUBLE)
        return root @ root.transpose(1, 2) / D + torch.eye(D, **DOUBLE), centre

    return Tasks(some(), some())


def a_start(seed=7):
    return {"w": torch.randn(D, generator=torch.Generator().manual_seed(seed), **DOUBLE)}


def by_hand(tasks, start, *, steps=1, rate=RATE, second_order=True):
    """The mean outer loss and its gradient, from matrices alone."""
    losses, gradients = [], []
    for (a, c), (b, d) in zip(zip(*tasks.support, strict=True), zip(*tasks.query, strict=True), strict=True):
        w, chain = start["w"], torch.eye(D, **DOUBLE)
        for _ in range(steps):
            w = w - rate * a @ (w - c)
            chain = chain @ (torch.eye(D, **DOUBLE) - rate * a) if second_order else chain
        losses.append(0.5 * (w - d) @ b @ (w - d))
        gradients.append(chain @ b @ (w - d))
    return torch.stack(losses).mean(), torch.stack(gradients).mean(dim=0)


def differences(function, params, *, width=1e-6):
    """Gradient of a function of a dict of tensors by central differences."""
    found = {}
    for name, value in params.items():
        slope = torch.zeros_like(value)
        for place in range(value.numel()):
            nudge = torch.zeros(value.numel(), **DOUBLE)
            nudge[place] = width
            nudge = nudge.reshape(value.shape)
            up, down = (function({**params, name: value + sign * nudge}) for sign in (1, -1))
            slope.view(-1)[place] = (up - down) / (2 * width)
        found[name] = slope
    return found


def relative_error(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


# a small network, in double precision


def network(params, data):
    """Mean squared error of a network with one hidden layer and a head."""
    x, y = data[:2]
    hidden = torch.tanh(x @ params["body.weight"] + params["body.bias"])
    wrong = ((hidden @ params["head.weight"])[..., 0] - y) ** 2
    return masked_mean(wrong, data[2]) if len(data) == 3 else wrong.mean()


def network_params(seed=0):
    g = torch.Generator().manual_seed(seed)
    shapes = {"body.weight": (2, 3), "body.bias": (3,), "head.weight": (3, 1)}
    return {name: torch.randn(*shape, generator=g, **DOUBLE) for name, shape in shapes.items()}


def regressions(*, points=6, tasks=T, seed=1):
    g = torch.Generator().manual_seed(seed)

    def some():
        return torch.randn(tasks, points, 2, generator=g, **DOUBLE), torch.randn(tasks, points, generator=g, **DOUBLE)

    return Tasks(some(), some())


LOOPS = {
    "maml": InnerLoop(rate=RATE),
    "maml, 5 steps": InnerLoop(steps=5, rate=RATE),
    "anil": InnerLoop(steps=2, rate=RATE, adapts=("head",)),
    "one learned rate": InnerLoop(steps=2, rate=RATE, rates="one"),
    "maml++": InnerLoop(steps=3, rate=RATE, rates="per layer and step", weights=(0.0, 0.2, 0.3, 0.5)),
    "meta-sgd": InnerLoop(steps=2, rate=RATE, rates="per parameter"),
    "joint": InnerLoop(steps=0),
}


@pytest.mark.parametrize("steps", [1, 5])
def test_the_meta_gradient_of_quadratics_has_the_factor_of_the_hessian(steps):
    tasks, start = quadratics(), a_start()
    value, found = meta_gradient(quadratic, InnerLoop(steps=steps, rate=RATE), Learner(start, {}), tasks)
    loss, wanted = by_hand(tasks, start, steps=steps)
    assert relative_error(found.params["w"], wanted) < 1e-12
    assert float(value) == pytest.approx(float(loss), rel=1e-6)


@pytest.mark.parametrize("steps", [1, 5])
def test_fomaml_lacks_exactly_that_factor(steps):
    tasks, start = quadratics(), a_start()
    inner = InnerLoop(steps=steps, rate=RATE, second_order=False)
    _, found = meta_gradient(quadratic, inner, Learner(start, {}), tasks)
    _, wanted = by_hand(tasks, start, steps=steps, second_order=False)
    assert relative_error(found.params["w"], wanted) < 1e-12
    assert relative_error(found.params["w"], by_hand(tasks, start, steps=steps)[1]) > 0.05


@pytest.mark.parametrize("name", LOOPS)
def test_meta_gradients_are_finite_differences(name):
    inner, tasks = LOOPS[name], regressions()
    begin = learner(network_params(), inner)
    _, found = meta_gradient(network, inner, begin, tasks)

    def value(params, rule):
        one = [Tasks(*torch.utils._pytree.tree_map(lambda x, at=t: x[at], tasks)) for t in range(T)]
        return torch.stack([outer_loss(network, inner, Learner(params, rule), task) for task in one]).mean()

    wanted = differences(lambda params: value(params, begin.rule), begin.params)
    for parameter in begin.params:
        assert relative_error(found.params[parameter], wanted[parameter]) < 1e-6
    wanted = differences(lambda rule: value(begin.params, rule), begin.rule)
    assert wanted.keys() == found.rule.keys()
    for parameter in begin.rule:
        assert relative_error(found.rule[parameter], wanted[parameter]) < 1e-6
