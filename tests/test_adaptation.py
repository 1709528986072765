"""Oracles of the meta-learning algorithms: closed forms and finite differences that would catch known defects."""

import itertools
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
    batch_norm,
    in_bfloat16,
    layer_norm,
    learner,
    masked_mean,
    meta_gradient,
    outer_loss,
    query_losses,
    reptile_gradient,
)
from autometa.adaptation.lstm_rule import SCALE, lstm_cell, preprocess
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


def test_a_wrong_gradient_would_be_seen():
    """The comparison above has teeth: FOMAML's gradient of the same network is far from the differences."""
    tasks, start = regressions(), network_params()
    whole = meta_gradient(network, InnerLoop(steps=5, rate=RATE), Learner(start, {}), tasks)[1]
    first = meta_gradient(network, InnerLoop(steps=5, rate=RATE, second_order=False), Learner(start, {}), tasks)[1]
    assert all(relative_error(first.params[n], whole.params[n]) > 1e-3 for n in start)


def test_the_gradient_of_meta_sgds_rates_in_closed_form():
    tasks, start = quadratics(tasks=1), a_start()
    inner = InnerLoop(rate=RATE, rates="per parameter")
    (a, c), (b, d) = ([x[0] for x in part] for part in tasks)
    step = a @ (start["w"] - c)
    adapted = start["w"] - RATE * step
    _, found = meta_gradient(quadratic, inner, learner(start, inner), tasks)
    assert relative_error(found.rule["w"][0], -step * (b @ (adapted - d))) < 1e-12


def test_one_step_of_reptile_is_training_on_all_tasks_together():
    tasks, start = regressions(), network_params()
    _, way = reptile_gradient(network, InnerLoop(rate=RATE), Learner(start, {}), tasks)
    together = Tasks(tasks.support, tasks.support)
    _, joint = meta_gradient(network, InnerLoop(steps=0), Learner(start, {}), together)
    for name in start:
        assert relative_error(way.params[name], RATE * joint.params[name]) < 1e-12


def test_several_steps_of_reptile_are_not():
    tasks, start = quadratics(), a_start()
    _, way = reptile_gradient(quadratic, InnerLoop(steps=3, rate=RATE), Learner(start, {}), tasks)
    ends = []
    for a, c in zip(*tasks.support, strict=True):
        w = start["w"]
        for _ in range(3):
            w = w - RATE * a @ (w - c)
        ends.append(w)
    assert relative_error(way.params["w"], start["w"] - torch.stack(ends).mean(dim=0)) < 1e-12
    joint = meta_gradient(quadratic, InnerLoop(steps=0), Learner(start, {}), Tasks(tasks.support, tasks.support))[1]
    direction = joint.params["w"] / joint.params["w"].norm()
    assert abs(float(way.params["w"] @ direction) / float(way.params["w"].norm())) < 1 - 1e-4


def test_reptile_one_task_at_a_time_averages_to_the_batch():
    tasks, start = quadratics(), a_start()
    inner = InnerLoop(steps=3, rate=RATE)
    batched = reptile_gradient(quadratic, inner, Learner(start, {}), tasks)[1].params["w"]
    serial = [
        reptile_gradient(quadratic, inner, Learner(start, {}), of(tasks, t, t + 1))[1].params["w"] for t in range(T)
    ]
    assert relative_error(torch.stack(serial).mean(dim=0), batched) < 1e-12


def of(tasks, first, end):
    """Some of the tasks."""
    return Tasks(*torch.utils._pytree.tree_map(lambda x: x[first:end], tasks))


def test_each_step_can_have_a_batch_of_its_own():
    tasks = quadratics(tasks=3)  # as three batches of one task
    start = a_start()
    adapted = adapt(quadratic, start, tasks.support, InnerLoop(steps=3, rate=RATE, batches=True))
    w = start["w"]
    for a, c in zip(*tasks.support, strict=True):
        w = w - RATE * a @ (w - c)
    assert relative_error(adapted["w"], w) < 1e-12


def test_adapted_parameters_differ_from_the_start_and_are_what_the_query_sees():
    tasks, start = quadratics(), a_start()
    for t in range(T):
        support, query = ((x[0][t], x[1][t]) for x in tasks)
        adapted = adapt(quadratic, start, support, InnerLoop(rate=RATE))
        assert float((adapted["w"] - start["w"]).norm()) > 1e-3
        one = Tasks(support, query)
        seen = outer_loss(quadratic, InnerLoop(rate=RATE), Learner(start, {}), one)
        assert float(seen) == pytest.approx(float(quadratic(adapted, query)), rel=1e-12)
        assert float(seen) != pytest.approx(float(quadratic(start, query)), rel=1e-3)


def test_five_steps_each_begin_where_the_last_ended():
    tasks, start = quadratics(tasks=1), a_start()
    (a, c), _ = ([x[0] for x in part] for part in tasks)
    inner = InnerLoop(steps=5, rate=RATE)
    found = [p["w"] for p in inner.trajectory(quadratic, start, (a, c), {})]
    assert len(found) == 6
    for before, after in itertools.pairwise(found):
        assert relative_error(after, before - RATE * a @ (before - c)) < 1e-12


@pytest.mark.parametrize("name", [*LOOPS, "lstm", "reptile"])
def test_nothing_that_is_passed_in_is_changed(name):
    inner = LSTMRule(steps=2) if name == "lstm" else LOOPS.get(name, InnerLoop(steps=2, rate=RATE))
    tasks, begin = regressions(), learner(network_params(), inner)
    copies = torch.utils._pytree.tree_map(torch.clone, (tasks, begin))
    random = torch.random.get_rng_state()
    gradient = reptile_gradient if name == "reptile" else meta_gradient
    gradient(network, inner, begin, tasks)
    query_losses(network, inner, begin, tasks)
    adapt(network, begin.params, [x[0] for x in tasks.support], inner, rule=begin.rule)
    for now, before in zip(*(torch.utils._pytree.tree_leaves(x) for x in ((tasks, begin), copies)), strict=True):
        assert torch.equal(now, before)
        assert now.grad is None
        assert not now.requires_grad
    assert torch.equal(random, torch.random.get_rng_state())


def test_the_outer_gradient_is_of_the_batch_and_not_of_its_last_task():
    tasks, start = quadratics(), a_start()
    inner = InnerLoop(rate=RATE)
    each = [meta_gradient(quadratic, inner, Learner(start, {}), of(tasks, t, t + 1))[1].params["w"] for t in range(T)]
    batch = meta_gradient(quadratic, inner, Learner(start, {}), tasks)[1].params["w"]
    assert relative_error(torch.stack(each).mean(dim=0), batch) < 1e-12
    assert relative_error(each[-1], batch) > 0.05


@pytest.mark.parametrize("chunk", [1, 2, 5, 9])
def test_chunks_give_the_same_gradient(chunk):
    tasks, inner = regressions(), LOOPS["meta-sgd"]
    begin = learner(network_params(), inner)
    value, whole = meta_gradient(network, inner, begin, tasks)
    other, parts = meta_gradient(network, inner, begin, tasks, chunk=chunk)
    assert float(other) == pytest.approx(float(value), rel=1e-6)
    for a, b in zip(*(torch.utils._pytree.tree_leaves(x) for x in (whole, parts)), strict=True):
        assert relative_error(b, a) < 1e-12


def test_a_frozen_head_stays_and_still_has_a_meta_gradient():
    inner = InnerLoop(steps=5, rate=RATE, adapts=("body",))
    tasks, start = regressions(), network_params()
    adapted = adapt(network, start, [x[0] for x in tasks.support], inner)
    assert adapted["head.weight"] is start["head.weight"]
    assert not torch.equal(adapted["body.weight"], start["body.weight"])
    _, found = meta_gradient(network, inner, Learner(start, {}), tasks)
    assert float(found.params["head.weight"].norm()) > 0


def test_a_parameter_that_nothing_uses_is_left_alone():
    start = network_params() | {"unused": torch.ones(3, **DOUBLE)}
    tasks = regressions()
    _, found = meta_gradient(network, InnerLoop(steps=2, rate=RATE), Learner(start, {}), tasks)
    assert torch.equal(found.params["unused"], torch.zeros(3, **DOUBLE))
    adapted = adapt(network, start, [x[0] for x in tasks.support], InnerLoop(steps=2, rate=RATE))
    assert torch.equal(adapted["unused"], start["unused"])


def test_masks_of_unequal_shots_equal_the_unpadded_tasks():
    shots, width = [2, 6, 4], 6
    g = torch.Generator().manual_seed(3)
    unpadded, padded = [], []
    for n in shots:
        x, y = torch.randn(n, 2, generator=g, **DOUBLE), torch.randn(n, generator=g, **DOUBLE)
        mask = torch.zeros(width, **DOUBLE)
        mask[:n] = 1.0
        wide_x = torch.cat([x, torch.full((width - n, 2), 1e6, **DOUBLE)])
        wide_y = torch.cat([y, torch.full((width - n,), -1e6, **DOUBLE)])
        unpadded.append((x, y))
        padded.append((wide_x, wide_y, mask))
    support = tuple(torch.stack(parts) for parts in zip(*padded, strict=True))
    inner, start = InnerLoop(steps=3, rate=RATE), network_params()
    query = regressions(tasks=3, seed=9).query
    _, found = meta_gradient(network, inner, Learner(start, {}), Tasks(support, query))
    each = []
    for t, (x, y) in enumerate(unpadded):
        one = Tasks((x[None], y[None]), tuple(q[t : t + 1] for q in query))
        each.append(meta_gradient(network, inner, Learner(start, {}), one)[1].params)
    for name in start:
        assert relative_error(found.params[name], torch.stack([e[name] for e in each]).mean(dim=0)) < 1e-10


def test_losses_of_several_steps_are_weighted():
    tasks, start = quadratics(), a_start()
    inner = InnerLoop(steps=2, rate=RATE, weights=(0.5, 0.0, 2.0))
    value, _ = meta_gradient(quadratic, inner, Learner(start, {}), tasks)
    losses = query_losses(quadratic, inner, Learner(start, {}), tasks)
    assert losses.shape == (T, 3)
    assert float(value) == pytest.approx(float((losses @ torch.tensor([0.5, 0.0, 2.0], **DOUBLE)).mean()), rel=1e-6)


@pytest.mark.parametrize("second_order", [True, False])
def test_the_rate_of_each_step_in_closed_form(second_order):
    tasks, start, rates = quadratics(tasks=1), a_start(), [0.05, 0.3, 0.1]
    inner = InnerLoop(steps=3, rates="per layer and step", second_order=second_order)
    rule = {"w": torch.tensor(rates, **DOUBLE)[:, None]}
    (a, c), (b, d) = ([x[0] for x in part] for part in tasks)
    path = [start["w"]]
    for rate in rates:
        path.append(path[-1] - rate * a @ (path[-1] - c))
    value, found = meta_gradient(quadratic, inner, Learner(start, rule), tasks)
    assert float(value) == pytest.approx(float(quadratic({"w": path[3]}, (b, d))), rel=1e-6)
    up = b @ (path[3] - d)  # gradient of the query loss, carried back step by step
    for step in (2, 1, 0):
        assert float(found.rule["w"][step]) == pytest.approx(float(-(a @ (path[step] - c)) @ up), rel=1e-9)
        up = up - rates[step] * a @ up if second_order else up
    assert relative_error(found.params["w"], up) < 1e-12
    longer = adapt(quadratic, start, (a, c), InnerLoop(steps=4, rates="per layer and step"), rule=rule)["w"]
    assert relative_error(longer, path[3] - rates[2] * a @ (path[3] - c)) < 1e-12  # the last rate goes on


def test_adapting_uses_the_learned_rule():
    start, rule = a_start(), {"w": torch.full((1, D), 0.4, **DOUBLE)}
    (a, c), _ = ([x[0] for x in part] for part in quadratics(tasks=1))
    found = adapt(quadratic, start, (a, c), InnerLoop(rates="per parameter", rate=RATE), rule=rule)["w"]
    assert relative_error(found, start["w"] - 0.4 * a @ (start["w"] - c)) < 1e-12


def test_learned_rates_begin_at_the_rate():
    start = network_params()
    for rates in ("one", "per layer and step", "per parameter"):
        first = InnerLoop(steps=2, rate=0.3, rates=rates).initial(start)
        assert all(bool((r == 0.3).all()) for r in first.values())


def test_parts_of_a_name_end_at_its_dots():
    params = {name: torch.ones(1) for name in ("layer.1.w", "layer.10.w", "layer", "player.1.w")}
    for adapts, moves in ((("layer.1",), ["layer.1.w"]), (("layer",), ["layer.1.w", "layer.10.w", "layer"])):
        assert list(InnerLoop(adapts=adapts, rates="per parameter").initial(params)) == moves


def test_a_module_is_called_with_parameters_of_its_own():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).double()

    def of_module(params, data):
        return ((torch.func.functional_call(net, dict(params), (data[0],))[:, 0] - data[1]) ** 2).mean()

    start = {name: p.detach() for name, p in net.named_parameters()}
    assert_gradient_is_right(of_module, start)
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("norm", [batch_norm, layer_norm])
def test_what_is_normalised_has_the_right_meta_gradient(norm):
    """PyTorch's own functions with scale and shift do not, under vmap."""

    def normalised(params, data):
        x = norm(data[0] @ params["w"], params["scale"], params["shift"])
        return (((x * torch.tensor([1.0, 2.0, 4.0], **DOUBLE)).sum(dim=1) - data[1]) ** 2).mean()

    g = torch.Generator().manual_seed(0)
    start = {"w": torch.randn(2, 3, generator=g, **DOUBLE), "scale": torch.ones(3, **DOUBLE)}
    assert_gradient_is_right(normalised, start | {"shift": torch.zeros(3, **DOUBLE)})


def test_normalisation_is_pytorchs():
    g = torch.Generator().manual_seed(0)
    x, scale, shift = torch.randn(5, 3, 2, generator=g), torch.rand(3, generator=g), torch.rand(3, generator=g)
    wanted = torch.nn.functional.batch_norm(x, None, None, scale, shift, training=True)
    assert torch.allclose(batch_norm(x, scale, shift), wanted, atol=1e-6)
    scale, shift = torch.rand(3, 2, generator=g), torch.rand(3, 2, generator=g)
    wanted = torch.nn.functional.layer_norm(x, (3, 2), scale, shift)
    assert torch.allclose(layer_norm(x, scale, shift), wanted, atol=1e-6)


def assert_gradient_is_right(loss, start):
    """The meta-gradient of all parameters after two steps, against finite differences."""
    inner, tasks = InnerLoop(steps=2, rate=0.03), regressions()
    _, found = meta_gradient(loss, inner, learner(start, inner), tasks)
    one = [Tasks(*torch.utils._pytree.tree_map(lambda x, at=t: x[at], tasks)) for t in range(T)]
    wanted = differences(
        lambda params: torch.stack([outer_loss(loss, inner, Learner(params, {}), task) for task in one]).mean(), start
    )
    for name in start:
        assert relative_error(found.params[name], wanted[name]) < 1e-6


def test_gradients_are_found_where_none_are_kept():
    tasks, inner = regressions(), InnerLoop(steps=2, rate=RATE)
    with torch.no_grad():
        _, found = meta_gradient(network, inner, Learner(network_params(), {}), tasks)
    _, wanted = meta_gradient(network, inner, Learner(network_params(), {}), tasks)
    assert all(torch.equal(found.params[n], wanted.params[n]) for n in wanted.params)


@pytest.mark.parametrize("chunk", [2, None])
def test_losses_and_reptile_in_chunks_are_the_same(chunk):
    tasks, inner, begin = regressions(), InnerLoop(steps=2, rate=RATE), Learner(network_params(), {})
    whole = query_losses(network, inner, begin, tasks)
    assert torch.allclose(query_losses(network, inner, begin, tasks, chunk=chunk), whole, rtol=1e-12)
    value, way = reptile_gradient(network, inner, begin, tasks, chunk=chunk)
    assert float(value) == pytest.approx(float(whole[:, -1].mean()), rel=1e-12)  # where the tasks end, not begin
    other = reptile_gradient(network, inner, begin, tasks)[1].params
    assert all(torch.allclose(way.params[n], other[n], rtol=1e-12) for n in other)


def test_rates_have_the_shapes_that_their_names_say():
    start = network_params()
    shapes = {
        rates: {n: tuple(r.shape) for n, r in InnerLoop(steps=3, rates=rates).initial(start).items()}
        for rates in ("fixed", "one", "per layer and step", "per parameter")
    }
    assert shapes["fixed"] == {}
    assert list(shapes["one"].values()) == [(1,)]
    assert shapes["per layer and step"] == {"body.weight": (3, 1, 1), "body.bias": (3, 1), "head.weight": (3, 1, 1)}
    assert shapes["per parameter"] == {"body.weight": (1, 2, 3), "body.bias": (1, 3), "head.weight": (1, 3, 1)}


def test_dropout_differs_from_task_to_task():
    def noisy(params, data):
        return (torch.nn.functional.dropout(params["w"], 0.5) * data).sum()

    tasks, begin = Tasks(torch.ones(64, 1), torch.ones(64, 1)), Learner({"w": torch.ones(1)}, {})
    losses = query_losses(noisy, InnerLoop(steps=0), begin, tasks)
    assert set(losses.flatten().tolist()) == {0.0, 2.0}
    for gradient in (meta_gradient, reptile_gradient):
        assert 0.5 < float(gradient(noisy, InnerLoop(steps=0), begin, tasks)[0]) < 1.5


def test_batch_statistics_are_of_each_task():
    def normalised(params, data):
        x, y = data
        out = torch.nn.functional.batch_norm(x, None, None, params["scale"], params["shift"], training=True)
        return ((out.sum(dim=1) - y) ** 2).mean()

    start = {"scale": torch.ones(2, **DOUBLE), "shift": torch.zeros(2, **DOUBLE)}
    tasks, inner = regressions(), InnerLoop(steps=2, rate=RATE)
    found = query_losses(normalised, inner, Learner(start, {}), tasks)
    for t in range(T):
        alone = query_losses(normalised, inner, Learner(start, {}), of(tasks, t, t + 1))
        assert torch.allclose(found[t : t + 1], alone)


def test_bfloat16_is_near_and_gives_float32():
    tasks = Tasks(*torch.utils._pytree.tree_map(torch.Tensor.float, regressions()))
    start = {name: p.float() for name, p in network_params().items()}
    inner = InnerLoop(steps=2, rate=RATE)
    exact, gradient = meta_gradient(network, inner, Learner(start, {}), tasks)
    value, found = meta_gradient(in_bfloat16(network), inner, Learner(start, {}), tasks)
    assert float(value) == pytest.approx(float(exact), rel=0.05)
    assert float(value) != float(exact)
    for name in start:
        assert found.params[name].dtype == torch.float32
        assert relative_error(found.params[name], gradient.params[name]) < 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InnerLoop(steps=-1), "steps is 0 or more"),
        (lambda: InnerLoop(rate=0.0), "rate is above 0"),
        (lambda: InnerLoop(steps=2, weights=(1.0,)), "one for each of 2 steps"),
        (lambda: InnerLoop(weights=(0.0, 0.0)), "not all 0"),
        (lambda: InnerLoop(rates="per-parameter"), "rates is one of"),
        (lambda: LSTMRule(forget=0.0), "between 0 and 1"),
        (lambda: LSTMRule(weights=(1.0,)), "one for each of 5 steps"),
        (lambda: learner({"count": torch.tensor(3)}, InnerLoop()), "track_running_stats=False"),
        (lambda: adapt(network, network_params(), regressions().support, LSTMRule()), "learns its rule"),
        (lambda: masked_mean(torch.ones(3, 2), torch.ones(3, 1)), "each loss has its mask"),
        (lambda: meta_gradient(network, InnerLoop(), Learner(network_params(), {}), regressions(), chunk=0), "chunk=0"),
        (
            lambda: reptile_gradient(network, InnerLoop(), Learner(network_params(), {}), of(regressions(), 0, 0)),
            "least",
        ),
        (lambda: reptile_gradient(network, InnerLoop(), Learner(network_params(), {}), unequal()), "number of tasks"),
        (lambda: InnerLoop(adapts=("tail",)).initial(network_params()), "tail"),
        (
            lambda: meta_gradient(network, InnerLoop(), Learner(network_params(), {}), of(regressions(), 0, 0)),
            "at least",
        ),
        (lambda: meta_gradient(network, InnerLoop(), Learner(network_params(), {}), unequal()), "number of tasks"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def unequal():
    tasks = regressions()
    return Tasks(tasks.support, of(tasks, 0, 2).query)


# the LSTM meta-learner


def test_the_cell_is_pytorchs():
    rule = LSTMRule(hidden=6).initial(network_params())
    cell = torch.nn.LSTMCell(4, 6, **DOUBLE)
    with torch.no_grad():
        cell.weight_ih.copy_(rule["input"].T)
        cell.weight_hh.copy_(rule["hidden"].T)
        cell.bias_ih.copy_(rule["bias"])
        cell.bias_hh.zero_()
    g = torch.Generator().manual_seed(0)
    x, h, s = (torch.randn(9, n, generator=g, **DOUBLE) for n in (4, 6, 6))
    for found, wanted in zip(lstm_cell(rule, x, h, s), cell(x, (h, s)), strict=True):
        assert torch.allclose(found, wanted, atol=1e-12)


def test_a_step_of_the_lstm_meta_learner_by_hand():
    rule = LSTMRule(steps=2, hidden=3, rate=RATE, seed=5)
    start = a_start()
    weights = rule.initial(start)
    (a, c), _ = ([x[0] for x in part] for part in quadratics(tasks=1))
    w, h, s = start["w"], torch.zeros(D, 3, **DOUBLE), torch.zeros(D, 3, **DOUBLE)
    f, i = torch.ones(D, **DOUBLE), torch.zeros(D, **DOUBLE)
    found = list(rule.trajectory(quadratic, start, (a, c), weights))
    assert torch.equal(found[0]["w"], w)
    for step in (1, 2):
        gradient, loss = a @ (w - c), 0.5 * (w - c) @ a @ (w - c)
        rows = [[*one_by_hand(float(x)), *one_by_hand(float(loss))] for x in gradient]
        h, s = lstm_cell(weights, torch.tensor(rows, **DOUBLE), h, s)
        new_f, new_i = [], []
        for k in range(D):
            theta = torch.stack([w[k]])
            new_f.append(torch.sigmoid(torch.cat([h[k], theta, f[k : k + 1]]) @ weights["stay"] + weights["stay_bias"]))
            new_i.append(torch.sigmoid(torch.cat([h[k], theta, i[k : k + 1]]) @ weights["move"] + weights["move_bias"]))
        f, i = torch.cat(new_f), torch.cat(new_i)
        w = f * w - i * gradient
        assert relative_error(found[step]["w"], w) < 1e-12


def one_by_hand(x):
    """The preprocessing as the paper writes it."""
    if abs(x) >= math.exp(-SCALE):
        return math.log(abs(x)) / SCALE, math.copysign(1.0, x)
    return -1.0, math.exp(SCALE) * x


@pytest.mark.parametrize("x", [0.0, 1e-9, -1e-9, 3e-4, -2.0, 1e6, math.exp(-SCALE)])
def test_gradients_of_any_size_can_be_read(x):
    found = preprocess(torch.tensor([[x]], **DOUBLE))[0]
    assert found.tolist() == pytest.approx(one_by_hand(x))
    assert found.abs().max() < 2


def test_the_lstm_begins_as_nearly_plain_gradient_descent():
    start, rule = a_start(), LSTMRule(steps=1, rate=RATE)
    (a, c), _ = ([x[0] for x in part] for part in quadratics(tasks=1))
    found = adapt(quadratic, start, (a, c), rule, rule=rule.initial(start))["w"] - start["w"]
    assert relative_error(found, -RATE * a @ (start["w"] - c)) < 0.1


def test_the_lstms_gradient_leaves_out_what_it_reads():
    """Finite differences, with gradients and losses held where they were, as the paper has it."""
    tasks, rule = regressions(tasks=1), LSTMRule(steps=2, hidden=3, rate=RATE)
    begin = learner(network_params(), rule)
    for gate in ("stay", "move"):
        begin.rule[gate].mul_(100)  # so that it matters what they read
    _, found = meta_gradient(network, rule, begin, tasks)
    support, query = ([x[0] for x in part] for part in tasks)
    read = [grad(network)(p, support) for p in rule.trajectory(network, begin.params, support, begin.rule)]
    values = [network(p, support) for p in rule.trajectory(network, begin.params, support, begin.rule)]

    def value(params, weights):
        calls = iter(range(rule.steps))

        def held(params, _):
            at = next(calls)
            moved = {n: p - p.detach() for n, p in params.items()}  # nothing, with a gradient
            return values[at] + sum((read[at][n] * x).sum() for n, x in moved.items())

        *_, last = rule.trajectory(held, params, support, weights)
        return network(last, query)

    wanted = differences(lambda weights: value(begin.params, weights), begin.rule, width=1e-5)
    for name in begin.rule:
        assert relative_error(found.rule[name], wanted[name]) < 1e-5
    wanted = differences(lambda params: value(params, begin.rule), begin.params, width=1e-5)
    for name in begin.params:
        assert relative_error(found.params[name], wanted[name]) < 1e-6
