"""Policies that learn from prior tasks, held against plain mathematics, brute force and hand counts."""

import gc
import itertools
import math
import weakref

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from autometa.parameters import Categorical, Float, Int
from autometa.policies import gaussian, rgpe, source_copies
from autometa.policies.acquisition import expected_improvement
from autometa.policies.candidates import Observed
from autometa.policies.empirical_covariance import EmpiricalCovariancePolicy
from autometa.policies.gaussian import Belief, LossScale, LowRank
from autometa.policies.greedy_portfolio import DefaultPolicy, GreedyPortfolioPolicy, ThenPolicy, greedy_order
from autometa.policies.kernel import LENGTHS, Matern, most_likely_length
from autometa.policies.optuna_samplers import TPEPolicy
from autometa.policies.rgpe import RGPEPolicy
from autometa.policies.source_copies import SourceCopiesPolicy
from autometa.policies.source_mean import SourceMeanPolicy
from autometa.policies.source_mixture import SourceMixturePolicy
from autometa.pool import Pool
from autometa.records.prior_tasks import PriorTasks
from autometa.space import Space
from autometa.task import Policy, Task, Trial

NAN, INF = math.nan, math.inf
LINE = Space("line", (Float(name="x", low=0.0, high=1.0, default=0.5),))
CONDITIONAL = Space(
    "conditional",
    (
        Categorical(name="algorithm", choices=("tree", "net"), default="tree"),
        Float(name="rate", low=0.0, high=1.0, default=0.5),
        Int(name="depth", low=1, high=4, default=2, when=("algorithm", ("tree",))),
        Float(name="width", low=0.0, high=10.0, default=5.0, when=("algorithm", ("net",))),
    ),
)
POLICIES = [
    GreedyPortfolioPolicy, SourceMeanPolicy, EmpiricalCovariancePolicy, SourceCopiesPolicy, SourceMixturePolicy,
    RGPEPolicy,
]  # fmt: skip
LOOKING = [p for p in POLICIES if p is not GreedyPortfolioPolicy]  # those that look at the losses that come in
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.__name__)


def line(configs=20):
    return Pool(LINE, [{"x": float(x)} for x in np.linspace(0, 1, configs)])


def prior_tasks(losses, pool=None):
    losses = np.asarray(losses, float)
    pool = pool or line(losses.shape[1])
    return PriorTasks(pool, tuple(f"t{i}" for i in range(len(losses))), losses)


def valleys(tasks=8, configs=20, seed=0):
    """Losses with one minimum each, not far from one another."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, configs)
    return rng.uniform(1, 3, (tasks, 1)) * (x - rng.uniform(0.4, 0.8, (tasks, 1))) ** 2 + rng.uniform(0, 5, (tasks, 1))


def seen(pool, losses):
    """A task with these losses by place; NaN failed, None is pending."""
    history = []
    for place, loss in losses.items():
        state = "running" if loss is None else "failed" if math.isnan(loss) else "complete"
        history.append(Trial(pool[place], state, NAN if loss is None else loss))
    return Task("new", pool.space, tuple(history))


def observed(places, losses):
    return Observed(np.array(places, np.intp), np.array(losses, float), frozenset(places))


# Expected improvement


@pytest.mark.parametrize(("mean", "sd", "best"), [(0.0, 1.0, 0.0), (0.3, 0.1, 0.2), (-2.0, 3.0, 1.0), (5.0, 2.0, -4.0)])
def test_expected_improvement_is_the_integral(mean, sd, best):
    wanted, _ = quad(lambda f: (best - f) * norm.pdf(f, mean, sd), best - 40 * sd, best, epsabs=0, limit=200)
    assert expected_improvement(np.array([mean]), np.array([sd]), best)[0] == pytest.approx(wanted, rel=1e-6)


def test_expected_improvement_is_the_mean_of_draws():
    draws = np.random.default_rng(0).normal(0.3, 0.5, 400_000)
    found = expected_improvement(np.array([0.3]), np.array([0.5]), 0.1)[0]
    assert found == pytest.approx(np.maximum(0.1 - draws, 0).mean(), rel=0.01)


def test_without_doubt_the_improvement_is_the_difference():
    found = expected_improvement(np.array([0.0, 1.0, 3.0]), np.full(3, 1e-12), 1.0)
    assert found == pytest.approx([1.0, 0.0, 0.0], abs=1e-11)


def test_far_tails_are_neither_negative_nor_undefined():
    z = np.concatenate([-np.logspace(-3, 9, 5000), np.logspace(-3, 9, 100)])
    found = expected_improvement(-z, np.ones(len(z)), 0.0)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found[:5000]) <= 0).all()


def test_the_tail_is_exact_as_long_as_it_is_a_number():
    z = -20.0
    series = 1 - 3 / z**2 + 15 / z**4 - 105 / z**6 + 945 / z**8
    assert expected_improvement(np.array([-z]), np.ones(1), 0.0)[0] == pytest.approx(
        norm.pdf(z) / z**2 * series, rel=1e-5
    )


# Gaussian inference


def a_belief(seed=0, configs=12, tasks=5, **scale):
    rng = np.random.default_rng(seed)
    covariance = LowRank(rng.normal(0, 0.3, (configs, tasks)), rng.uniform(0.001, 0.02, configs))
    prior = LossScale(**({"shift": 2.0, "shift_sd": 0.7, "log_scale": 0.5, "log_scale_sd": 0.6} | scale))
    return Belief(rng.random(configs), covariance, prior, noise=0.01)


def dense(covariance):
    return covariance.rows(np.arange(len(covariance.variances)))


def losses_from(belief, places, seed):
    """Losses drawn from the belief itself."""
    rng = np.random.default_rng(seed)
    prior, n = belief.scale, len(places)
    f = rng.multivariate_normal(belief.mean, dense(belief.covariance))[places] + rng.normal(0, belief.noise**0.5, n)
    scale = math.exp(rng.normal(prior.log_scale, prior.log_scale_sd))
    return rng.normal(prior.shift, prior.shift_sd) + scale * f


def brute_force(belief, places, losses):
    """Mean and covariance of f and the shift (in units of f) together, for the most probable scale."""
    prior, n = belief.scale, len(places)
    K = dense(belief.covariance)
    evidence = []
    for deviation in gaussian._SCALES:
        s = math.exp(prior.log_scale + prior.log_scale_sd * deviation)
        of_losses = s**2 * (K[np.ix_(places, places)] + belief.noise * np.eye(n)) + prior.shift_sd**2
        likelihood = multivariate_normal.logpdf(losses, prior.shift + s * belief.mean[places], of_losses)
        evidence.append((likelihood + norm.logpdf(deviation), s))
    s = max(evidence)[1]
    together = np.zeros((len(K) + 1, len(K) + 1))
    together[:-1, :-1], together[-1, -1] = K, (prior.shift_sd / s) ** 2
    look = np.zeros((n, len(K) + 1))
    look[np.arange(n), places], look[:, -1] = 1.0, 1.0
    mean = np.append(belief.mean, 0.0)
    gain = together @ look.T @ np.linalg.inv(look @ together @ look.T + belief.noise * np.eye(n))
    return mean + gain @ ((losses - prior.shift) / s - look @ mean), together - gain @ look @ together, s


@pytest.mark.parametrize("seed", range(12))
def test_the_mean_is_that_of_the_joint_gaussian_at_the_most_probable_scale(seed):
    belief = a_belief(seed)
    places = np.random.default_rng(seed).permutation(12)[: 1 + seed % 7]
    losses = losses_from(belief, places, seed)
    found = belief.given(places, losses)
    mean, _, scale = brute_force(belief, places, losses)
    assert found.mean == pytest.approx(mean[:-1], abs=1e-9)
    assert found.best == pytest.approx(((losses - belief.scale.shift) / scale - mean[-1]).min(), abs=1e-9)


def test_with_a_known_shift_the_doubt_is_that_of_the_joint_gaussian():
    belief = a_belief(shift_sd=1e-6)
    places = np.array([7, 2, 5])
    losses = losses_from(belief, places, 0)
    _, covariance, _ = brute_force(belief, places, losses)
    assert belief.given(places, losses).sd == pytest.approx(np.sqrt(np.diag(covariance)[:-1]), rel=1e-6)


def test_the_doubt_about_the_next_loss_counts_that_of_the_shift():
    belief = a_belief()
    places = np.array([7, 2, 5])
    losses = losses_from(belief, places, 0)
    _, covariance, _ = brute_force(belief, places, losses)
    of_next = np.hstack([np.eye(12), np.ones((12, 1))])  # a loss is f and the shift
    wanted = np.sqrt(np.diag(of_next @ covariance @ of_next.T))
    assert belief.given(places, losses).sd == pytest.approx(wanted, rel=1e-6)


def test_what_a_known_scale_and_shift_leave_is_plain_regression():
    belief = a_belief(shift_sd=1e-9, log_scale_sd=1e-9, shift=0.0, log_scale=0.0)
    places, losses = np.array([0, 3, 4]), np.array([0.2, 0.9, 0.1])
    K = dense(belief.covariance)
    gain = K[:, places] @ np.linalg.inv(K[np.ix_(places, places)] + 0.01 * np.eye(3))
    found = belief.given(places, losses)
    assert found.mean == pytest.approx(belief.mean + gain @ (losses - belief.mean[places]), abs=1e-6)
    assert found.best == pytest.approx(0.1, abs=1e-6)


def test_an_unknown_shift_does_not_matter():
    belief = a_belief(shift_sd=1e4, log_scale_sd=1e-6)
    places = np.array([1, 4, 9])
    losses = np.array([2.0, 2.5, 1.9])
    one, other = belief.given(places, losses), belief.given(places, losses + 300.0)
    assert other.mean == pytest.approx(one.mean, abs=1e-3)
    assert other.best == pytest.approx(one.best, abs=1e-3)


def test_the_order_of_trials_does_not_matter():
    belief = a_belief()
    places, losses = np.array([1, 4, 9, 6]), np.array([2.0, 2.5, 1.9, 3.1])
    turned = belief.given(places[::-1], losses[::-1])
    assert belief.given(places, losses).mean == pytest.approx(turned.mean)
    assert belief.given(places, losses).sd == pytest.approx(turned.sd)


def test_without_trials_the_belief_is_as_before():
    belief = a_belief()
    found = belief.given(np.zeros(0, np.intp), np.zeros(0))
    assert (found.mean == belief.mean).all()
    assert found.sd**2 == pytest.approx(np.diag(dense(belief.covariance)))


def test_rows_of_a_low_rank_covariance_are_those_of_the_matrix():
    rng = np.random.default_rng(0)
    factors, diagonal = rng.normal(size=(9, 3)), rng.random(9)
    whole = factors @ factors.T + np.diag(diagonal)
    covariance = LowRank(factors, diagonal)
    places = np.array([5, 0, 8])
    assert covariance.rows(places) == pytest.approx(whole[places])
    assert covariance.variances == pytest.approx(np.diag(whole))


def test_the_scale_of_losses_is_found_where_it_is_exact():
    rng = np.random.default_rng(0)
    scaled = rng.random((5, 30))
    shifts, scales = np.array([1.0, 2.0, 3.0, 4.0, 9.0]), np.array([1.0, 2.0, 4.0, 8.0, 64.0])
    raw = shifts[:, None] + scales[:, None] * scaled
    raw[1, 3], raw[4, 7] = NAN, INF
    found = LossScale.fit(scaled, raw)
    assert found.shift == pytest.approx(3.0)
    assert found.shift_sd == pytest.approx(1.4826)  # distances from 3: 0, 1, 1, 2, 6
    assert found.log_scale == pytest.approx(math.log(4.0))
    assert found.log_scale_sd == pytest.approx(1.4826 * math.log(2.0))


def test_one_task_of_constant_losses_does_not_decide_the_scale():
    scaled = np.vstack([np.random.default_rng(0).random((4, 10)), np.zeros((1, 10))])
    found = LossScale.fit(scaled, np.vstack([3.0 + 2.0 * scaled[:4], np.full((1, 10), 3.0)]))
    assert found.log_scale == pytest.approx(math.log(2.0))
    assert found.shift == pytest.approx(3.0)


def test_losses_far_from_zero_keep_their_scale():
    scaled = np.random.default_rng(0).random((4, 50))
    found = LossScale.fit(scaled, 1e6 + 2.0 * scaled)
    assert found.shift == pytest.approx(1e6)
    assert found.log_scale == pytest.approx(math.log(2.0), abs=1e-6)


# The kernel


def test_rows_of_the_kernel_are_those_of_the_matrix():
    pool = Pool(CONDITIONAL, [CONDITIONAL.sample(np.random.default_rng(i)) for i in range(8)])
    kernel = Matern(pool.inputs, 0.7, 2.5)
    whole = np.empty((8, 8))
    for i, j in itertools.product(range(8), repeat=2):
        r = math.sqrt(5) * math.dist(pool.inputs[i], pool.inputs[j]) / 0.7
        whole[i, j] = 2.5 * (1 + r + r**2 / 3) * math.exp(-r)
    assert kernel.rows(np.array([6, 1])) == pytest.approx(whole[[6, 1]])
    assert kernel.variances == pytest.approx(np.diag(whole))
    assert np.linalg.eigvalsh(whole).min() > 0


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("configs", [60, 500])
def test_the_length_that_made_the_losses_is_found(length, configs):
    rng = np.random.default_rng(0)
    plane = Space("plane", tuple(Float(name=n, low=0.0, high=1.0, default=0.5) for n in "xyz"))
    pool = Pool(plane, [plane.sample(rng) for _ in range(configs)])
    covariance = dense(Matern(pool.inputs, length)) + 0.05 * np.eye(configs)
    # Tasks differ in size: each has its own signal.
    tables = rng.uniform(0.1, 50, (40, 1)) * rng.multivariate_normal(np.zeros(configs), covariance, 40)
    assert most_likely_length(pool.inputs, tables, 0.05) == length


def test_losses_without_any_signal_have_a_length_too():
    assert most_likely_length(line(10).inputs, np.zeros((3, 10)), 0.05) in LENGTHS


# The pool


TREES = [{"algorithm": "tree", "rate": r, "depth": d} for r, d in ((0.0, 1), (0.0, 4), (1.0, 1))]
NETS = [{"algorithm": "net", "rate": r, "width": w} for r, w in ((0.0, 5.0), (0.5, 10.0))]


def test_distances_by_hand():
    pool = Pool(CONDITIONAL, TREES + NETS)
    apart = np.linalg.norm(pool.inputs[:, None] - pool.inputs[None], axis=2)
    assert apart[0, 1] == pytest.approx(0.75)  # four depths own a quarter each: 1/8 and 7/8
    assert apart[0, 2] == pytest.approx(1.0)
    assert apart[3, 4] == pytest.approx(math.hypot(0.5, 0.5))
    # Another algorithm: 1 for the choice, 1 for the two hyperparameters that one has and the other has not
    # (half of it each), and depth and width from the middle of their ranges.
    assert apart[0, 3] == pytest.approx(math.sqrt(1.0 + 1.0 + 0.375**2 + 0.0**2))


def test_a_space_without_hyperparameters_has_one_place():
    pool = Pool(Space("empty", ()), [{}, {}])
    assert pool.inputs.shape == (2, 1)


def test_the_nearest_config_is_of_the_same_branch():
    pool = Pool(CONDITIONAL, TREES + NETS)
    wanted = {"algorithm": "net", "rate": 0.0, "width": 0.0}
    assert pool.nearest(wanted, range(5), seed=[0]) == 3
    assert (
        pool.nearest(TREES[0] | {"rate": 1.0, "depth": 4}, [0, 4], seed=[0]) == 0
    )  # nearer on the common axes: the net
    assert pool.nearest(TREES[1], np.array([4, 2, 1]), seed=[0]) == 1


def test_a_branch_that_is_used_up_gives_a_random_config():
    pool = Pool(CONDITIONAL, TREES + NETS)
    wanted = {"algorithm": "net", "rate": 0.0, "width": 0.0}
    found = [pool.nearest(wanted, [0, 1, 2], seed=[s]) for s in range(40)]
    assert set(found) == {0, 1, 2}
    assert found == [pool.nearest(wanted, [0, 1, 2], seed=[s]) for s in range(40)]


def test_algorithms_without_hyperparameters_are_branches_too():
    space = Space("bare", (Categorical(name="algorithm", choices=("a", "b", "c"), default="a"),
                           Float(name="x", low=0.0, high=1.0, default=0.5, when=("algorithm", ("c",)))))  # fmt: skip
    pool = Pool(space, [{"algorithm": "a"}, {"algorithm": "b"}])
    assert [pool.nearest({"algorithm": "b"}, [0, 1], seed=[s]) for s in range(9)] == [1] * 9


def test_a_config_is_found_by_identity_and_by_value():
    pool = Pool(CONDITIONAL, TREES + NETS)
    assert [pool.place(c) for c in TREES + NETS] == list(range(5))
    assert [pool.place(dict(reversed(c.items()))) for c in NETS] == [3, 4]
    assert pool.place(NETS[0] | {"width": 5.5}) is None
    assert pool.place({"algorithm": "net"}) is None


def test_equal_configs_are_found_at_the_first():
    pool = Pool(LINE, [{"x": 0.5}, {"x": 0.1}, {"x": 0.5}])
    assert pool.place({"x": 0.5}) == 0


def test_true_is_not_one():
    mixed = Space("mixed", (Categorical(name="c", choices=(1, True, 1.0, "1"), default=1),))
    pool = Pool(mixed, [{"c": c} for c in (1, True, 1.0, "1")])
    assert [pool.place({"c": c}) for c in (1, True, 1.0, "1")] == [0, 1, 2, 3]


def test_a_pool_of_a_pool_is_itself():
    pool = line()
    assert Pool.of(LINE, pool) is pool
    assert list(Pool.of(LINE, list(pool))) == list(pool)


# The greedy portfolio


@pytest.mark.parametrize("seed", range(5))
def test_every_pick_is_the_best_next_one(seed):
    scaled = np.random.default_rng(seed).random((6, 9))
    order = greedy_order(scaled, 4)
    assert order[0] == scaled.mean(axis=0).argmin()
    for k in range(1, 4):
        means = [scaled[:, [*order[:k], j]].min(axis=1).mean() for j in range(9)]
        assert means[order[k]] == pytest.approx(min(means), abs=2e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_portfolio_is_not_far_from_the_best_of_its_size(seed):
    scaled = np.random.default_rng(seed).random((6, 9))
    value = {s: 1 - scaled[:, list(s)].min(axis=1).mean() for s in itertools.combinations(range(9), 3)}
    found = value[tuple(sorted(greedy_order(scaled, 3)))]
    assert found >= (1 - 1 / math.e) * max(value.values())  # Nemhauser, Wolsey and Fisher 1978
    assert found >= np.median(list(value.values()))


def test_no_config_is_picked_twice_even_if_nothing_is_left_to_gain():
    for scaled in (np.zeros((3, 7)), np.ones((3, 7)), np.tile(np.linspace(0, 1, 7), (3, 1))):
        assert sorted(greedy_order(scaled, 20)) == list(range(7))


def test_configs_that_gain_nothing_follow_by_their_mean():
    scaled = np.array([[0.9, 0.5, 0.0, 0.3], [0.2, 0.8, 0.0, 0.4]])
    assert greedy_order(scaled, 4) == [2, 3, 0, 1]


def test_the_portfolio_is_proposed_in_its_order():
    prior = prior_tasks(valleys())
    order = greedy_order(prior.scaled("min_max"), 20)
    proposed = GreedyPortfolioPolicy(prior).propose(Task("new", LINE), n=20, seed=0)
    assert [prior.pool.place(c) for c in proposed] == order


def test_beyond_the_longest_order_configs_follow_by_their_mean():
    prior = prior_tasks(np.random.default_rng(0).random((2, 130)))
    proposed = GreedyPortfolioPolicy(prior).propose(Task("new", LINE), n=130, seed=0)
    last = [prior.scaled("min_max").mean(axis=0)[prior.pool.place(c)] for c in proposed[100:]]
    assert last == sorted(last)


def test_after_its_share_of_trials_the_portfolio_hands_over():
    prior = prior_tasks(valleys())
    order = greedy_order(prior.scaled("min_max"), 2)
    proposed = ThenPolicy(GreedyPortfolioPolicy(prior), TPEPolicy(startup=0), k=2).propose(
        Task("new", LINE), n=5, seed=0, candidates=prior.pool
    )
    places = [prior.pool.place(c) for c in proposed]
    assert places[:2] == order
    assert len(set(places)) == 5


def test_the_default_goes_first_and_once():
    policy = ThenPolicy(DefaultPolicy(), TPEPolicy(startup=0), k=1)
    proposed = policy.propose(Task("new", LINE), n=3, seed=0, candidates=line(11))
    assert proposed[0] == {"x": 0.5}
    assert len({c["x"] for c in proposed}) == 3


# Copies of prior tasks


def a_scale(**given):
    return LossScale(**({"shift": 1.0, "shift_sd": 2.0, "log_scale": 0.7, "log_scale_sd": 0.5} | given))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_weights_are_the_evidence_of_a_bayesian_regression(n):
    rng = np.random.default_rng(n)
    scaled, losses, prior = rng.random((4, n)), rng.normal(2, 1, n), a_scale()
    usual = math.exp(prior.log_scale)
    noise = (source_copies.NOISE * usual) ** 2 * np.eye(n)
    coefficients = np.diag([prior.shift_sd**2, (usual * prior.log_scale_sd) ** 2])
    evidence, means = [], []
    for f in scaled:
        design = np.stack([np.ones(n), f], axis=1)
        middle = np.array([prior.shift, usual])
        of_losses = design @ coefficients @ design.T + noise
        evidence.append(multivariate_normal.logpdf(losses, design @ middle, of_losses))
        gain = coefficients @ design.T @ np.linalg.inv(of_losses)
        means.append(middle + gain @ (losses - design @ middle))
    weights = np.exp(np.array(evidence) - max(evidence))
    found = source_copies._explain(scaled, losses, prior)
    assert found.weight == pytest.approx(weights / weights.sum())
    assert found.shift == pytest.approx([m[0] for m in means])
    assert found.scale == pytest.approx([m[1] for m in means])


def test_weights_are_exact_where_shift_and_scale_are_all_but_known():
    scaled = np.random.default_rng(0).random((4, 6))
    losses = scaled[2] + 0.05 * np.random.default_rng(1).random(6)
    # What LossScale.fit returns for prior tasks that all reach from 0 to 1.
    found = source_copies._explain(scaled, losses, LossScale(0.0, 1e-9, 0.0, 1e-9))
    evidence = -0.5 * ((losses - scaled) ** 2).sum(axis=1) / source_copies.NOISE**2
    weights = np.exp(evidence - evidence.max())
    assert found.weight == pytest.approx(weights / weights.sum(), abs=1e-6)


def different_tasks(seed=0):
    return np.random.default_rng(seed).random((6, 20)) * np.array([[1, 2, 1, 0.5, 1, 1.5]]).T + 3.0


def test_an_exact_copy_gets_the_weight_and_its_best_config_is_next():
    prior = prior_tasks(different_tasks())
    copied = prior.losses[2]
    best = int(copied.argmin())
    places = [p for p in range(0, 20, 2) if p != best]
    new = 3.5 + 1.2 * (copied - 3.0)
    found = source_copies._explain(prior.scaled("min_max")[:, places], new[places], source_copies._scale_of(prior))
    assert found.weight.argmax() == 2
    assert found.weight[2] > 0.95
    task = seen(prior.pool, {p: new[p] for p in places})
    assert SourceCopiesPolicy(prior).propose(task, n=1, seed=0) == [prior.pool[best]]


def test_the_opposite_of_the_task_gets_no_weight():
    losses = different_tasks()
    losses[0] = 7.0 - losses[2]
    prior = prior_tasks(losses)
    found = source_copies._explain(prior.scaled("min_max"), losses[2], source_copies._scale_of(prior))
    assert found.weight[0] < 1e-3


# What all prior tasks have in common


def test_the_empirical_belief_is_mean_and_shrunk_covariance():
    prior = prior_tasks(valleys())
    belief = EmpiricalCovariancePolicy(prior).belief(prior)
    scaled = prior.scaled("min_max")
    covariance = np.cov(scaled.T)
    shrunk = 0.99 * covariance + 0.01 * np.diag(np.diag(covariance))
    assert belief.mean == pytest.approx(scaled.mean(axis=0))
    assert dense(belief.covariance) == pytest.approx(shrunk)
    assert belief.scale == LossScale.fit(scaled, prior.losses)


def test_the_residual_process_has_the_variance_of_what_the_mean_leaves():
    prior = prior_tasks(valleys())
    belief = SourceMeanPolicy(prior).belief(prior)
    apart = prior.scaled("min_max") - belief.mean
    assert np.abs(apart.mean(axis=0)).max() < 1e-12
    assert belief.covariance.variances == pytest.approx(np.full(20, apart.var()))


def test_the_mixture_is_the_sum_of_shares_of_the_best_untried_config():
    prior = prior_tasks(valleys())
    history = observed([2, 9, 15], [3.0, 1.0, 2.0])
    total = np.zeros(20)
    for expert in (SourceCopiesPolicy, EmpiricalCovariancePolicy):
        score = expert(prior).score(prior, history)
        score[[2, 9, 15]] = 0
        total += score / score.max()
    assert SourceMixturePolicy(prior).score(prior, history) == pytest.approx(total)


# Ranking-weighted processes


def misranked(predicted, losses, drawn):
    """Ordered pairs of a bootstrap that a process and the losses put the other way round."""
    pairs = itertools.product(drawn, repeat=2)
    return sum((predicted[i] < predicted[j]) != (losses[i] < losses[j]) for i, j in pairs)


@pytest.mark.parametrize("seed", range(6))
def test_weights_by_counting_pairs(seed):
    rng = np.random.default_rng(seed)
    losses = rng.random(6)
    predicted = np.stack([losses + 0.3 * rng.random(6), losses + 0.5 * rng.random(6), rng.random(6), 0.8 - losses])
    counts = np.random.default_rng(6).multinomial(6, np.full(6, 1 / 6), size=rgpe.SAMPLES)
    drawn = [np.repeat(np.arange(6), c) for c in counts]
    wrong = np.array([[misranked(p, losses, d) for d in drawn] for p in predicted], float)
    limit = np.quantile(wrong[-1], 0.95)
    for i in range(3):
        if np.median(wrong[i]) > limit:
            wrong[i] = INF
    wanted = np.zeros(4)
    for column in wrong.T:
        winners = np.flatnonzero(column == column.min())
        wanted[winners] += 1 / len(winners) / len(drawn)
    assert rgpe._weights(predicted, losses) == pytest.approx(wanted)


def test_a_process_that_ranks_all_pairs_right_has_the_weight():
    losses = np.array([0.1, 0.5, 0.3, 0.9, 0.7])
    found = rgpe._weights(np.stack([losses**3, -losses, -losses]), losses)
    assert found[0] > 0.95
    assert found.sum() == pytest.approx(1.0)


def test_a_process_that_is_mostly_worse_than_the_own_one_is_left_out():
    losses = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    misplaced = np.array([0.1, 0.3, 0.5, 0.7, 0.0])  # the last is not drawn in a third of the bootstraps
    assert rgpe._weights(np.stack([misplaced, losses]), losses).tolist() == [0.0, 1.0]


def test_two_trials_say_nothing_of_the_ranking():
    assert rgpe._weights(np.random.default_rng(0).random((5, 2)), np.array([0.0, 1.0])).tolist() == [0.25] * 4 + [0.0]


def test_the_own_process_predicts_each_trial_from_the_others(monkeypatch):
    given = {}

    def noted(predicted, losses):
        given.update(predicted=predicted, losses=losses)
        return np.full(len(predicted), 1 / len(predicted))

    monkeypatch.setattr(rgpe, "_weights", noted)
    prior = prior_tasks(valleys())
    policy = RGPEPolicy(prior)
    places = [2, 9, 15, 18]
    policy.score(prior, observed(places, [3.0, 1.0, 2.0, 2.5]))
    kernel = dense(rgpe._surrogates(prior).kernel)
    for i, place in enumerate(places):
        others = [p for p in places if p != place]
        inverse = np.linalg.inv(kernel[np.ix_(others, others)] + rgpe.NOISE * np.eye(3))
        wanted = kernel[place, others] @ inverse @ np.delete(given["losses"], i)
        assert given["predicted"][-1][i] == pytest.approx(wanted)


def test_processes_of_the_prior_tasks_are_regressions_on_their_ranks():
    prior = prior_tasks(valleys(tasks=3))
    found = rgpe._surrogates(prior)
    kernel = dense(found.kernel)
    for mean, ranks in zip(found.means, prior.scaled("ranks"), strict=True):
        standard = (ranks - ranks.mean()) / ranks.std()
        assert mean == pytest.approx(kernel @ np.linalg.solve(kernel + rgpe.NOISE * np.eye(20), standard))


# What a history says of a pool


def test_failed_trials_have_the_worst_loss_of_the_others():
    found = Observed.of(seen(line(), {4: 0.3, 2: NAN, 7: 0.9}), line())
    assert found.places.tolist() == [4, 2, 7]
    assert found.losses.tolist() == [0.3, 0.9, 0.9]
    assert found.taken == {2, 4, 7}


@pytest.mark.parametrize("loss", [NAN, INF])
def test_a_loss_that_is_no_number_counts_as_a_failure(loss):
    pool = line()
    task = Task("new", LINE, (Trial(pool[0], "complete", 1.0), Trial(pool[1], "complete", loss)))
    assert Observed.of(task, pool).losses.tolist() == [1.0, 1.0]


def test_failed_trials_alone_say_nothing_and_are_not_tried_again():
    found = Observed.of(seen(line(), {4: NAN, 2: NAN}), line())
    assert len(found.places) == len(found.losses) == 0
    assert found.taken == {2, 4}


def test_pending_trials_are_taken_and_say_nothing():
    found = Observed.of(seen(line(), {4: 0.3, 2: None}), line())
    assert found.places.tolist() == [4]
    assert found.taken == {2, 4}
    assert 2 not in found.left(line())


def test_pruned_trials_count_with_what_they_would_have_come_to():
    pool = line()
    history = (
        Trial(pool[1], "complete", 0.5, (0.3, 0.7)),
        Trial(pool[3], "pruned", 0.9, (0.9,)),
        Trial(pool[5], "pruned", 0.4),
        Trial(pool[6], "pruned", NAN, (NAN,)),
    )
    found = Observed.of(Task("new", LINE, history), pool)
    assert found.places.tolist() == [1, 3, 5, 6]
    assert found.losses == pytest.approx([0.5, 1.1, 0.4, 1.1])
    assert found.taken == {1, 3, 5, 6}


def test_losses_of_a_part_of_the_rows_are_no_losses():
    pool = line()
    part, whole = Trial(pool[3], "complete", 0.1, budget=1 / 3), Trial(pool[3], "complete", 0.5)
    assert len(Observed.of(Task("new", LINE, (part,)), pool).places) == 0
    for history in ((part, whole), (whole, part)):
        assert Observed.of(Task("new", LINE, history), pool).losses.tolist() == [0.5]


def test_a_config_that_was_tried_twice_counts_once():
    pool = line()
    history = (Trial(pool[3], "complete", 0.1), Trial(pool[5], "complete", 0.2), Trial(dict(pool[3]), "complete", 0.3))
    found = Observed.of(Task("new", LINE, history), pool)
    assert found.places.tolist() == [3, 5]
    assert found.losses.tolist() == [0.3, 0.2]


def test_configs_outside_the_pool_are_not_looked_at():
    pool = line()
    found = Observed.of(Task("new", LINE, (Trial({"x": 0.123}, "complete", 0.1), Trial(pool[5], "failed"))), pool)
    assert len(found.places) == 0
    assert found.taken == {5}


# Proposals


@every_policy
def test_several_proposals_are_different_and_pending_ones_are_not_among_them(policy):
    prior = prior_tasks(valleys())
    task = seen(prior.pool, {3: 1.0, 11: None, 14: NAN})
    for candidates in (None, prior.pool, list(prior.pool)):
        proposed = policy(prior).propose(task, n=6, seed=0, candidates=candidates)
        places = [prior.pool.place(c) for c in proposed]
        assert len(set(places)) == 6
        assert not set(places) & {3, 11, 14}


@every_policy
def test_when_all_is_tried_the_rest_is_random(policy):
    prior = prior_tasks(valleys())
    task = seen(prior.pool, {p: float(p) for p in range(18)})
    proposed = policy(prior).propose(task, n=5, seed=0)
    assert {prior.pool.place(c) for c in proposed[:2]} == {18, 19}
    assert [prior.pool.place(c) for c in proposed[2:]] == [None] * 3
    for config in proposed:
        LINE.check(config)
    assert len(policy(prior).propose(task, n=5, seed=0, candidates=prior.pool)) == 2


@every_policy
def test_without_prior_tasks_proposals_are_random(policy):
    prior = prior_tasks(np.zeros((0, 20)))
    task = Task("new", LINE)
    for candidates in (None, prior.pool):
        runs = [policy(prior).propose(task, n=4, seed=s, candidates=candidates) for s in (0, 0, 1)]
        assert runs[0] == runs[1] != runs[2]
        assert len(runs[0]) == 4


def conditional_prior():
    rng = np.random.default_rng(0)
    pool = Pool(CONDITIONAL, [CONDITIONAL.sample(rng) for _ in range(40)])
    return prior_tasks(rng.random((5, 40)), pool)


@every_policy
def test_proposals_are_configs_of_a_narrower_space(policy):
    prior = conditional_prior()
    narrow = CONDITIONAL.restrict({"algorithm": {"choices": ["net"]}, "rate": {"high": 0.8}})
    fitting = [c for c in prior.pool if narrow.has(c)]
    assert 5 < len(fitting) < 30
    proposed = policy(prior).propose(Task("new", narrow), n=len(fitting) + 2, seed=0)
    for config in proposed:
        narrow.check(config)
    assert sorted(map(str, proposed[:-2])) == sorted(map(str, fitting))


@every_policy
def test_other_candidates_of_which_some_are_known(policy):
    prior = conditional_prior()
    rng = np.random.default_rng(1)
    candidates = [*(dict(c) for c in prior.pool[:20]), *(CONDITIONAL.sample(rng) for _ in range(10))]
    task = seen(Pool(CONDITIONAL, candidates), {0: 1.0, 25: 0.5, 3: 2.0})
    proposed = policy(prior).propose(task, n=27, seed=0, candidates=candidates)
    assert {id(c) for c in proposed} <= {id(c) for c in candidates}
    assert len({id(c) for c in proposed}) == 27


@every_policy
def test_the_same_question_has_the_same_answer(policy):
    prior = prior_tasks(valleys())
    task = seen(prior.pool, {3: 1.0, 11: 0.4, 14: 0.6})
    assert isinstance(policy(prior), Policy)
    one = policy(prior)
    one.propose(seen(prior.pool, {1: 5.0, 2: 7.0}), n=2, seed=3)  # what was asked before leaves nothing behind
    runs = [p.propose(task, n=3, seed=0, candidates=c) for p in (one, policy(prior)) for c in (prior.pool, None)]
    assert all(run == runs[0] for run in runs)


@every_policy
def test_no_global_generator_is_touched(policy):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    prior = prior_tasks(valleys())
    policy(prior).propose(seen(prior.pool, {3: 1.0, 11: 0.4, 12: 0.1, 14: 0.2}), n=2, seed=0)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


@every_policy
def test_nothing_given_is_changed(policy):
    prior = prior_tasks(valleys())
    before = prior.losses.copy(), prior.scaled("min_max").copy()
    policy(prior).propose(seen(prior.pool, {3: 1.0, 11: 0.4, 12: 0.1, 14: 0.2}), n=3, seed=0)
    assert (prior.losses == before[0]).all()
    assert (prior.scaled("min_max") == before[1]).all()


@every_policy
def test_candidates_of_earlier_questions_are_forgotten(policy):
    asked = policy(prior_tasks(valleys()))
    pools = [line() for _ in range(4)]
    for pool in pools:
        asked.propose(seen(pool, {3: 1.0, 11: 0.4}), n=1, seed=0, candidates=pool)
    kept = [weakref.ref(pool) for pool in pools]
    del pool, pools
    gc.collect()
    assert sum(pool() is not None for pool in kept) <= 1


@every_policy
def test_the_first_proposal_is_good_on_the_mean_of_the_prior_tasks(policy):
    prior = prior_tasks(valleys())
    (first,) = policy(prior).propose(Task("new", LINE), n=1, seed=0)
    mean = prior.scaled("min_max").mean(axis=0)
    assert mean[prior.pool.place(first)] <= np.sort(mean)[2]


@pytest.mark.parametrize("policy", LOOKING, ids=lambda p: p.__name__)
def test_losses_that_come_in_are_looked_at(policy):
    prior = prior_tasks(np.vstack([valleys(4), valleys(4)[:, ::-1]]))  # minima on the right, and on the left
    right = seen(prior.pool, {p: abs(p - 15) / 10 for p in (0, 5, 10, 17, 19)})
    left = seen(prior.pool, {p: abs(p - 4) / 10 for p in (0, 8, 10, 17, 19)})
    (of_right,), (of_left,) = (policy(prior).propose(task, n=1, seed=0) for task in (right, left))
    assert of_left["x"] < 0.5 < of_right["x"]


# Odd losses


ODD = {
    "huge worst value": lambda x: np.where(np.arange(x.shape[1]) == 4, 1e30, x),
    "all huge": lambda x: 1e30 * x,
    "far from zero": lambda x: 1e6 + x,
    "tiny": lambda x: 1e-9 * x,
    "constant": lambda x: np.full_like(x, 0.25),
    "one constant task": lambda x: np.where(np.arange(len(x))[:, None] == 1, 0.25, x),
    "one failure": lambda x: np.where(np.arange(x.shape[1]) == 4, INF, x),
    "gaps": lambda x: np.where(np.random.default_rng(0).random(x.shape) < 0.4, NAN, x),
    "one task": lambda x: x[:1],
    "one scale": lambda x: (x - x.min(axis=1, keepdims=True)) / np.ptp(x, axis=1, keepdims=True),
}
HISTORIES = {
    "none": {},
    "one": {3: 0.5},
    "failed first": {3: NAN, 5: 0.5, 6: NAN, 9: 0.7},
    "all failed": {3: NAN, 5: NAN},
    "equal": {3: 0.5, 5: 0.5, 8: 0.5, 13: 0.5},
    "huge": {3: 0.5, 5: 1e30, 8: 0.4},
    "far from zero": {3: 1e6 + 0.5, 5: 1e6 + 0.2, 8: 1e6 + 0.4, 13: 1e6 + 0.1},
    "far below zero": {3: -1e6, 5: -2e6, 8: -3e6, 13: -1e6},
    "tiny": {3: 2e-9, 5: 1e-9, 8: 3e-9},
    "many": {p: (p - 9.0) ** 2 for p in range(19)},
}


@every_policy
@pytest.mark.parametrize("odd", ODD)
def test_odd_losses_give_scores_that_are_numbers(policy, odd):
    prior = prior_tasks(ODD[odd](valleys()))
    asked = policy(prior)
    for name, losses in HISTORIES.items():
        task = seen(prior.pool, losses)
        score = asked.score(prior, Observed.of(task, prior.pool))
        assert score.shape == (20,), name
        assert np.isfinite(score).all(), name
        proposed = asked.propose(task, n=2, seed=0, candidates=prior.pool)
        assert len(proposed) == min(2, 20 - len(losses)), name
